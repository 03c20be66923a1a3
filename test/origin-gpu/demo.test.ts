/**
 * The demo app as its users meet it: a real process, real sockets, OpenAI's API and a WebSocket.
 */
import { createHash } from "node:crypto";
import { request as httpRequest } from "node:http";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Demo, startDemo } from "./demo-process.ts";

const TOKEN_MS = 5;
let demo: Demo;

beforeAll(async () => {
  demo = await startDemo({ DEMO_TOKEN_MS: String(TOKEN_MS) });
});
afterAll(() => demo.kill());

const asking = (content: string) => ({ messages: [{ role: "user", content }] });
const endless = { ...asking("Tell me about the Queen"), ignore_eos: true, max_tokens: 100_000 };

function post(body: unknown, init: RequestInit = {}): Promise<Response> {
  const payload = typeof body === "string" ? body : JSON.stringify(body);
  return fetch(`${demo.url}/v1/chat/completions`, { method: "POST", body: payload, ...init });
}

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

interface Chunk {
  id: string;
  choices: { delta: { role?: string; content?: string }; finish_reason: string | null }[];
  usage?: Completion["usage"];
}

interface Completion {
  choices: { message: { content: string }; finish_reason: string }[];
  usage: { prompt_tokens: number; completion_tokens: number; total_tokens: number };
}

async function complete(body: object): Promise<Completion & { text: string; finish: string }> {
  const response = await post(body);
  expect(response.status).toBe(200);
  const completion = (await response.json()) as Completion;
  const [choice] = completion.choices;
  return {
    ...completion,
    text: choice?.message.content ?? "",
    finish: choice?.finish_reason ?? "",
  };
}

/** The data of each server-sent event, with the milliseconds at which it arrived. */
async function* events(response: Response): AsyncGenerator<{ data: string; at: number }> {
  let rest = "";
  for await (const text of response.body!.pipeThrough(new TextDecoderStream())) {
    const whole = (rest + text).split("\n\n");
    rest = whole.pop() ?? "";
    for (const event of whole) yield { data: event.replace(/^data: /, ""), at: performance.now() };
  }
}

describe("chat completions", () => {
  test("an answer has OpenAI's shape, speaks of what the prompt speaks of, and ends by itself", async () => {
    const { text, finish, usage, ...rest } = await complete(asking("Tell me about the Queen"));
    expect(text).toMatch(/Queen/);
    expect(finish).toMatch(/^(stop|length)$/);
    expect(usage.total_tokens).toBe(usage.prompt_tokens + usage.completion_tokens);
    expect(usage.prompt_tokens).toBe(5);
    expect(rest).toMatchObject({ object: "chat.completion", model: "wonderland" });
  });

  test("a word that the book does not know astonishes somebody", async () => {
    const { text } = await complete({ ...asking("Explain Kubernetes"), max_tokens: 12 });
    expect(text).toMatch(/^‘Kubernetes\?’ said the [A-Z]/);
  });

  test("the same seed gives the same answer, another seed another one", async () => {
    const seeded = (seed: number) => complete({ ...asking("Who are you?"), seed, max_tokens: 40 });
    const [first, again, other] = await Promise.all([seeded(7), seeded(7), seeded(8)]);
    expect(again.text).toBe(first.text);
    expect(other.text).not.toBe(first.text);
  });

  test("at temperature 0 the seed makes no difference", async () => {
    const cold = (seed: number) =>
      complete({ ...asking("Who are you?"), seed, temperature: 0, max_tokens: 40 });
    const [first, other] = await Promise.all([cold(1), cold(2)]);
    expect(other.text).toBe(first.text);
  });

  test("max_tokens cuts the answer and says so", async () => {
    const { finish, usage } = await complete({ ...asking("Who are you?"), max_tokens: 3 });
    expect(finish).toBe("length");
    expect(usage.completion_tokens).toBe(3);
  });

  test("a stop sequence ends the answer before it, even across tokens", async () => {
    const body = { ...asking("Who are you?"), seed: 3, max_tokens: 60 };
    const { text: whole } = await complete(body);
    const stop = whole.slice(21, 29);
    const { text, finish } = await complete({ ...body, stop: ["never said", stop] });
    expect(text).toBe(whole.slice(0, whole.indexOf(stop)));
    expect(finish).toBe("stop");
  });

  test("content may be a list of text parts", async () => {
    const content = [{ type: "text", text: "the Gryphon" }];
    const { text } = await complete({ messages: [{ role: "user", content }] });
    expect(text).toMatch(/Gryphon/);
  });
});

describe("streaming", () => {
  test("tokens arrive one by one, as they are produced", async () => {
    const tokens = 20;
    const response = await post({ ...endless, max_tokens: tokens, stream: true });
    expect(response.headers.get("content-type")).toBe("text/event-stream; charset=utf-8");
    const arrivals: number[] = [];
    for await (const { data, at } of events(response))
      if (data.includes('content":')) arrivals.push(at);
    const [first = 0, last = 0] = [arrivals[1], arrivals.at(-1)];
    expect(arrivals).toHaveLength(tokens + 1);
    expect(last - first).toBeGreaterThan(((tokens - 1) * TOKEN_MS) / 2);
  });

  test("the chunks add up to the whole answer: role first, then finish_reason, usage and [DONE]", async () => {
    const body = { ...asking("Who are you?"), seed: 5, max_tokens: 30 };
    const whole = await complete(body);
    const response = await post({ ...body, stream: true, stream_options: { include_usage: true } });
    const data = (await collect(events(response))).map((event) => event.data);
    expect(data.pop()).toBe("[DONE]");
    const chunks = data.map((text) => JSON.parse(text) as Chunk);
    expect(new Set(chunks.map(({ id }) => id)).size).toBe(1);
    expect(chunks.shift()?.choices[0]?.delta).toEqual({ role: "assistant", content: "" });
    expect(chunks.pop()).toMatchObject({ choices: [], usage: whole.usage });
    expect(chunks.pop()?.choices[0]).toMatchObject({ delta: {}, finish_reason: whole.finish });
    expect(chunks.map(({ choices }) => choices[0]?.delta.content).join("")).toBe(whole.text);
  });

  test("a client that leaves in the middle of a stream ends the work", async () => {
    const leaving = new AbortController();
    const response = await post({ ...endless, stream: true }, { signal: leaving.signal });
    const stream = events(response);
    await stream.next();
    await stream.next();
    const noticed = demo.logged(/^client left after \d+ tokens$/);
    leaving.abort();
    await noticed;
  });

  test("a client that leaves before its whole answer ends the work", async () => {
    const noticed = demo.logged(/^client left after \d+ tokens$/);
    const request = httpRequest(`${demo.url}/v1/chat/completions`, { method: "POST" });
    request.on("error", () => {});
    request.end(JSON.stringify(endless), () => request.destroy());
    await noticed;
  });
});

describe("bad requests get OpenAI's error object", () => {
  const prompt = asking("hello");
  test.each([
    ["no JSON", "{", 400, null],
    ["a list", "[]", 400, null],
    ["no messages", {}, 400, "messages"],
    ["an empty list of messages", { messages: [] }, 400, "messages"],
    ["a message without a role", { messages: [{ content: "x" }] }, 400, "messages[0]"],
    [
      "an image",
      { messages: [{ role: "user", content: [{ type: "image_url" }] }] },
      400,
      "messages[0].content",
    ],
    ["max_tokens of 0", { ...prompt, max_tokens: 0 }, 400, "max_tokens"],
    ["a text as max_tokens", { ...prompt, max_tokens: "9" }, 400, "max_tokens"],
    [
      "a fraction as max_completion_tokens",
      { ...prompt, max_completion_tokens: 1.5 },
      400,
      "max_completion_tokens",
    ],
    ["a temperature over 2", { ...prompt, temperature: 2.1 }, 400, "temperature"],
    ["two answers", { ...prompt, n: 2 }, 400, "n"],
    ["an empty stop", { ...prompt, stop: "" }, 400, "stop"],
    ["five stops", { ...prompt, stop: ["a", "b", "c", "d", "e"] }, 400, "stop"],
    ["a text as stream", { ...prompt, stream: "yes" }, 400, "stream"],
    ["another model", { ...prompt, model: "gpt-4" }, 404, "model"],
  ])("%s", async (_name, body, status, param) => {
    const response = await post(body);
    expect(response.status).toBe(status);
    const { error } = (await response.json()) as { error: Record<string, unknown> };
    expect(error).toMatchObject({ type: "invalid_request_error", param });
    expect(error["message"]).toMatch(/\w/);
  });

  test("a body that is not UTF-8", async () => {
    const response = await post("", { body: Buffer.from('{"messages":"\xff"}', "latin1") });
    expect(response.status).toBe(400);
  });

  test("a body over 1 MiB is 413, one of 1 MiB is read", async () => {
    const padding = (length: number) => {
      const body = JSON.stringify({ ...prompt, max_tokens: 1, padding: "" });
      return body.replace('"padding":""', `"padding":"${"x".repeat(length - body.length)}"`);
    };
    expect((await post(padding(1024 * 1024))).status).toBe(200);
    expect((await post(padding(1024 * 1024 + 1))).status).toBe(413);
  });

  test("an unknown path is 404, a wrong method 405 with Allow, /ws without a WebSocket 426", async () => {
    expect((await fetch(`${demo.url}/constructor`)).status).toBe(404);
    const wrong = await fetch(`${demo.url}/v1/chat/completions`);
    expect([wrong.status, wrong.headers.get("allow")]).toEqual([405, "POST"]);
    expect((await fetch(`${demo.url}/ws`)).status).toBe(426);
  });
});

describe("the rest of the server", () => {
  test("the list of models, a model, and the health", async () => {
    const list = (await (await fetch(`${demo.url}/v1/models`)).json()) as {
      data: { id: string }[];
    };
    expect(list.data.map(({ id }) => id)).toEqual(["wonderland"]);
    expect((await fetch(`${demo.url}/v1/models/wonderland`)).status).toBe(200);
    expect(await (await fetch(`${demo.url}/health`)).json()).toEqual({ status: "ok" });
  });

  test("the page loads nothing from elsewhere, and its policy allows its own script and style", async () => {
    const response = await fetch(demo.url);
    const html = await response.text();
    const policy = response.headers.get("content-security-policy") ?? "";
    expect(policy).toContain("default-src 'none'");
    for (const tag of ["script", "style"]) {
      const inline = html.split(`<${tag}>`)[1]?.split(`</${tag}>`)[0] ?? "";
      const hash = createHash("sha256").update(inline).digest("base64");
      expect(policy).toContain(`${tag}-src 'sha256-${hash}'`);
    }
    expect(html).not.toMatch(/(?:src|href)="(?!data:)/);
  });

  test("HEAD of the page has its length and no body", async () => {
    const response = await fetch(demo.url, { method: "HEAD" });
    expect(Number(response.headers.get("content-length"))).toBeGreaterThan(1000);
    expect(await response.text()).toBe("");
  });
});

describe("the life of the process", () => {
  test("SIGTERM lets a running answer end, says 1001 to WebSockets, and exits with 0", async () => {
    const own = await startDemo({ DEMO_TOKEN_MS: "5" });
    const socket = new WebSocket(`${own.url.replace("http", "ws")}/ws`);
    await new Promise((resolve) => socket.addEventListener("open", resolve, { once: true }));
    const closed = new Promise<CloseEvent>((resolve) => socket.addEventListener("close", resolve));
    const response = await fetch(`${own.url}/v1/chat/completions`, {
      method: "POST",
      body: JSON.stringify({ ...endless, max_tokens: 50, stream: true }),
    });
    const stream = events(response);
    await stream.next();
    own.terminate();
    const rest = await collect(stream);
    expect(rest.at(-1)?.data).toBe("[DONE]");
    expect((await closed).code).toBe(1001);
    expect(await own.exited).toBe(0);
  });

  test("a port that is taken, or is none, is one clear line and an exit code", async () => {
    const taken = await startDemo({ PORT: new URL(demo.url).port }).catch(
      (error: Error) => error.message,
    );
    expect(taken).toMatch(/^exit 1: .*EADDRINUSE.*$/);
    const none = await startDemo({ PORT: "http" }).catch((error: Error) => error.message);
    expect(none).toBe('exit 2: PORT must be a whole number from 0 to 65535, not "http"');
  });
});

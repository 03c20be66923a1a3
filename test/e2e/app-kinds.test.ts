/**
 * `app_kind` before servers that stand in for the real ones, each beside an endpoint of the same server without it. The base
 * domain is none of `localhost`, which some of them let pass.
 */
import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { MIB } from "../../base/units.ts";
import { OF_TWO, twoAreReady } from "../support/app-kinds/containers.ts";
import { describeJupyter, jupyterEndpoints } from "../support/app-kinds/jupyter.ts";
import { PageClient, type PageSocket } from "../support/app-kinds/page-client.ts";
import { describeStreamlit, streamlitEndpoints } from "../support/app-kinds/streamlit.ts";
import { APPS, type Gateway, startUp } from "../support/harness.ts";
import { type Answer, open, type RequestOptions, send } from "../support/http-client.ts";

const DOMAIN = "gw.test";
const TIMEOUT_MS = 60_000;
/** A dead server is asked three times, a second apart, before another one starts. */
const REPLACED = { timeout: 60_000 };

let postern: Gateway;
beforeAll(async () => {
  const server = (name: string) => ({ web_server: ["node", join(APPS, `${name}-server.ts`)] });
  const [ollama, vllm, comfyui] = [server("ollama"), server("vllm"), server("comfy")];
  postern = await startUp(
    [
      { ...ollama, function: "ollama", app_kind: "ollama" },
      { ...ollama, function: "ollama-plain" },
      { ...ollama, function: "ollama-local", host_header: "local", max_pending: 0 },
      { ...vllm, function: "vllm", app_kind: "vllm", health_interval: 1, ...OF_TWO },
      { ...vllm, function: "vllm-plain" },
      { ...vllm, function: "vllm-loaded" },
      { ...vllm, function: "vllm-closed", paths: { deny: ["/metrics"] } },
      { ...comfyui, function: "comfyui", app_kind: "comfyui", ...OF_TWO },
      { ...comfyui, function: "comfyui-plain", max_containers: 2 },
      ...streamlitEndpoints(server("streamlit")),
      ...jupyterEndpoints(server("jupyter")),
    ],
    { domain: DOMAIN },
  );
  await twoAreReady(postern, "vllm", "comfyui", "streamlit", "jupyter");
});
afterAll(async () => await postern.stop());

async function ask(name: string, path: string, options: RequestOptions = {}): Promise<Answer> {
  return await send(postern.address(name), path, { timeoutMs: TIMEOUT_MS, ...options });
}

function posted(value: unknown): RequestOptions {
  const headers = { "content-type": "application/json" };
  return { method: "POST", headers, body: JSON.stringify(value) };
}

const containerOf = ({ headers }: Answer) => headers["x-container"];

test.each([
  ["ollama", "/api/version"],
  ["vllm", "/health"],
  ["comfyui", "/system_stats"],
  ["streamlit", "/_stcore/health"],
  ["jupyter", "/api"],
])(
  "%s is asked for its health before anything else, and without app_kind it is not",
  async (kind, path) => {
    const firstOf = (name: string) =>
      new RegExp(`^.*\\[${name}(?: \\d+)?\\] (GET \\S+) \\d+$`, "m").exec(
        postern.process.stderr,
      )?.[1];
    for (const name of [kind, `${kind}-plain`]) await ask(name, "/anything");
    await expect.poll(() => firstOf(kind)).toBe(`GET ${path}`);
    await expect.poll(() => firstOf(`${kind}-plain`)).toBe("GET /anything");
  },
);

describe("Ollama", () => {
  test("the public Host is taken, and refused with 403 without app_kind", async () => {
    expect((await ask("ollama-plain", "/api/tags")).status).toBe(403);
    expect((await ask("ollama", "/api/tags")).json()).toEqual({ models: [{ name: "toy" }] });
  });

  test("its pages are taken, and its own judgement of others stays", async () => {
    const statusFrom = async (origin: string) =>
      (await ask("ollama", "/api/tags", { headers: { origin } })).status;
    expect(await statusFrom(`https://${postern.address("ollama").host}`)).toBe(200);
    expect(await statusFrom("https://evil.example")).toBe(403);
  });

  /** The answer's lines, each as the server sent it. */
  async function generate(name: string): Promise<AsyncIterator<Buffer>> {
    const generated = posted({ model: "toy", prompt: "count" });
    const response = await open(postern.address(name), "/api/generate", generated);
    return response[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  }

  async function lineOf(lines: AsyncIterator<Buffer>): Promise<string> {
    const { value } = (await lines.next()) as { value?: Buffer };
    return String(value);
  }

  test("two prompts are answered at once, line by line", async () => {
    const one = await generate("ollama");
    expect(await lineOf(one)).toBe('{"response":"one","done":false}\n');
    const other = await ask("ollama", "/api/generate", posted({ model: "toy", prompt: "count" }));
    expect(other.text).toBe('{"response":"one","done":false}\n{"response":" two","done":true}\n');
    expect(await lineOf(one)).toBe('{"response":" two","done":true}\n');
  });

  test("with the local Host alone one prompt is worked on at a time", async () => {
    const one = await generate("ollama-local");
    expect(await lineOf(one)).toBe('{"response":"one","done":false}\n');
    const other = await ask("ollama-local", "/api/generate", posted({}));
    expect([other.status, other.json()]).toMatchObject([429, { code: "queue_full" }]);
    await one.return?.();
  });

  test("no caller deletes a model, and with the local Host alone one does", async () => {
    const remove = { ...posted({ model: "toy" }), method: "DELETE" };
    const refused = await ask("ollama", "/api/delete", remove);
    expect([refused.status, refused.json()]).toMatchObject([404, { code: "path_closed" }]);
    expect((await ask("ollama", "/api/tags")).json()).toEqual({ models: [{ name: "toy" }] });
    // Its place is free when the prompt before has ended.
    await expect
      .poll(async () => (await ask("ollama-local", "/api/delete", remove)).status)
      .toBe(200);
    expect((await ask("ollama-local", "/api/tags")).json()).toEqual({ models: [] });
  });
});

describe("vLLM", () => {
  const CLOSED = ["POST /sleep", "POST /wake_up", "POST /collective_rpc", "GET /metrics"];

  /** The server's model is loaded while somebody asks for its health. */
  async function load(name: string): Promise<void> {
    await expect.poll(async () => (await ask(name, "/health")).status).toBe(200);
  }

  async function chat(name: string, ...contents: readonly string[]): Promise<Answer> {
    const messages = contents.map((content) => ({ role: "user", content }));
    return await ask(name, "/v1/chat/completions", posted({ model: "toy", messages }));
  }

  test("its first request comes when the model is loaded, and too soon without app_kind", async () => {
    expect((await ask("vllm", "/v1/models")).json()).toMatchObject({ data: [{ id: "toy" }] });
    expect((await ask("vllm-plain", "/v1/models")).status).toBe(503);
  });

  test.each(CLOSED)("%s is closed in OpenAI's form, and open without app_kind", async (line) => {
    const [method = "", path = ""] = line.split(" ");
    const { status, text } = await ask("vllm", path, { method });
    const error = { code: "path_closed", type: expect.any(String) as string };
    expect([status, JSON.parse(text)]).toMatchObject([404, { code: "path_closed", error }]);
    await load("vllm-loaded");
    expect((await ask("vllm-loaded", path, { method })).status).toBe(200);
  });

  test("a path that is closed by hand has no error in OpenAI's form", async () => {
    const { status, text } = await ask("vllm-closed", "/metrics");
    expect(status).toBe(404);
    expect(JSON.parse(text)).not.toHaveProperty("error");
  });

  test("each of two conversations has a server of its own, and one server has both without app_kind", async () => {
    await load("vllm-loaded");
    const placesIn = async (name: string): Promise<unknown[]> => {
      const places: unknown[] = [];
      for (const more of [[], ["and then?"], ["and then?", "and then?"]]) {
        for (const begin of ["once", "twice"]) {
          places.push(containerOf(await chat(name, begin, ...more)));
        }
      }
      return places;
    };
    const [one, other, ...later] = await placesIn("vllm");
    expect(other).not.toBe(one);
    expect(later).toEqual([one, other, one, other]);
    expect(new Set(await placesIn("vllm-loaded")).size).toBe(1);
  });

  test("a server whose engine is dead is replaced, and stays without app_kind", async () => {
    await load("vllm-loaded");
    const [dead, left] = [await chat("vllm", "crash"), await chat("vllm-loaded", "crash")];
    expect([dead.status, left.status]).toEqual([500, 500]);
    const next = async (name: string) => {
      const answer = await chat(name, "crash", "and then?");
      return [answer.status, containerOf(answer) === containerOf(name === "vllm" ? dead : left)];
    };
    await expect.poll(async () => await next("vllm"), REPLACED).toEqual([200, false]);
    expect(await next("vllm-loaded")).toEqual([503, true]);
  });
});

describe("ComfyUI", () => {
  interface Person {
    readonly page: PageClient;
    readonly socket: PageSocket;
    readonly id: string;
    readonly place: unknown;
  }

  async function come(name: string): Promise<Person> {
    const page = new PageClient(postern.address(name));
    const shown = await page.ask("/");
    expect(shown.status).toBe(200);
    const id = randomUUID();
    const socket = await page.open(`/ws?clientId=${id}`);
    await expect.poll(() => socket.messages).toHaveLength(1);
    return { page, socket, id, place: containerOf(shown) };
  }

  /** @returns the container that has the prompt, and its id */
  async function prompt({ page, id }: Person): Promise<{ place: unknown; result: string }> {
    const answer = await page.ask("/prompt", posted({ client_id: id, prompt: {} }));
    expect(answer.status).toBe(200);
    const { prompt_id: result } = answer.json() as { prompt_id: string };
    return { place: containerOf(answer), result };
  }

  test("a person's prompt is worked on where the page is, and its large preview comes there", async () => {
    const people = [await come("comfyui"), await come("comfyui")];
    expect(new Set(people.map(({ place }) => place)).size).toBe(2);
    for (const person of people) {
      const { place, result } = await prompt(person);
      expect(place).toBe(person.place);
      await expect.poll(() => person.socket.messages).toHaveLength(4);
      const [, , preview, executed] = person.socket.messages;
      expect(preview).toHaveLength(8 * MIB);
      expect(JSON.parse(String(executed))).toMatchObject({ data: { prompt_id: result } });
      const { text } = await person.page.ask(`/history/${result}`);
      expect(JSON.parse(text)).toHaveProperty(result);
      person.socket.close();
    }
  });

  test("without app_kind another server has it, and the page hears nothing", async () => {
    const person = await come("comfyui-plain");
    expect((await prompt(person)).place).not.toBe(person.place);
    expect(person.socket.messages).toHaveLength(1);
    person.socket.close();
  });

  test("its own judgement of other sites' pages stays", async () => {
    const headers = { origin: "https://evil.example", "sec-fetch-site": "cross-site" };
    expect((await ask("comfyui", "/queue", { headers })).status).toBe(403);
    const own = { origin: `https://${postern.address("comfyui").host}` };
    expect((await ask("comfyui", "/queue", { headers: own })).status).toBe(200);
  });
});

describeStreamlit(() => postern);
describeJupyter(() => postern);

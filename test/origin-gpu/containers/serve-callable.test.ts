/** Functions and classes under real uvicorn and FastAPI. Skipped where the tests' Python has not been made. */
import { execFile } from "node:child_process";
import { once } from "node:events";
import { type IncomingMessage, request } from "node:http";
import { promisify } from "node:util";
import { describe, expect, onTestFinished, test } from "vitest";

import type { EndpointConfig } from "../../../origin-gpu/config/config.ts";
import type { CallableKind } from "../../../origin-gpu/config/app-config.ts";
import { startContainer } from "../../../origin-gpu/containers/start-container.ts";
import { existingVenv } from "../../support/venv.ts";
import { HERE, endpointConfig, listening, plainPython } from "./endpoint.ts";

const DIRECTORY = `${HERE}callable`;
/** Random histories of batches, in virtual time. */
const HISTORIES = 300 * Number(process.env["POSTERN_TEST_RUNS"] ?? 1);
const PATIENCE = { timeout: 15_000 };

function start(
  target: string,
  kind: Omit<CallableKind, "type" | "target"> = {},
  settings: Partial<EndpointConfig> = {},
) {
  const lines: string[] = [];
  const container = startContainer({
    endpoint: endpointConfig({
      kind: { type: "callable", target: `handlers:${target}`, ...kind },
      python: existingVenv() ?? "python3",
      directory: DIRECTORY,
      ...settings,
    }),
    environment: { PYTHONDONTWRITEBYTECODE: "1" },
    usePython: plainPython,
    ...listening((line) => lines.push(line)),
  });
  onTestFinished(async () => await container.stop());
  return { container, lines };
}

async function served(...given: Parameters<typeof start>): Promise<string> {
  return (await start(...given).container.ready).origin;
}

describe.skipIf(existingVenv() === undefined)("a function", () => {
  test("is answered by its result, and runs on a thread of its own", async () => {
    const origin = await served("square");
    expect(await (await fetch(`${origin}/?x=3`)).json()).toEqual({ square: 9, thread: true });
    expect((await fetch(`${origin}/?x=three`)).status).toBe(422);
    expect((await fetch(`${origin}/?x=3`, { method: "POST" })).status).toBe(405);
    for (const page of ["docs", "redoc", "openapi.json"]) {
      expect((await fetch(`${origin}/${page}`)).status, page).toBe(404);
    }
  });

  test.each([
    ["GET", "/"],
    ["GET", "/?reads=true"],
    ["POST", "/"],
    ["POST", "/?reads=true"],
  ])("that is async is cancelled when its client leaves: %s %s", async (method, path) => {
    const { container, lines } = start("waiting", { method });
    const { origin } = await container.ready;
    const sent = request(`${origin}${path}`, { agent: false, method });
    sent.on("error", () => undefined);
    // More than any buffer on the way holds: the function has to read it.
    sent.end(method === "POST" && path !== "/" ? Buffer.alloc(8_000_000) : undefined);
    await expect.poll(() => lines, PATIENCE).toContain("waits");
    sent.destroy();
    await expect.poll(() => lines, PATIENCE).toContain("cancelled");
    expect(lines.join("\n")).not.toContain("Traceback");
    if (path !== "/") expect(lines).toContain(`read ${method === "POST" ? 8_000_000 : 0}`);
  });

  test("that is async runs on the event loop, and shows its pages where they are asked for", async () => {
    const origin = await served("asynchronous", { docs: true });
    expect(await (await fetch(origin)).json()).toEqual({ square: 4, thread: false });
    const document = await (await fetch(`${origin}/openapi.json`)).json();
    expect(document).toMatchObject({ info: { title: "asynchronous" }, paths: { "/": {} } });
    expect((await fetch(`${origin}/docs`)).status).toBe(200);
  });

  test("takes a model as its body", async () => {
    const origin = await served("order", { method: "POST" });
    const body = '{"name": "Erik"}';
    const headers = { "content-type": "application/json" };
    const response = await fetch(origin, { method: "POST", body, headers });
    expect(await response.json()).toEqual({ name: "Erik", count: 43 });
  });

  test("may be said to return what is no model", async () => {
    const origin = await served("annotated");
    expect(await (await fetch(origin)).json()).toEqual({ said: "otherwise" });
  });

  test("has as many threads as max_inputs", async () => {
    const origin = await served("meet", {}, { maxInputs: 2 });
    const met = await Promise.all([fetch(origin), fetch(origin)]);
    expect(met.map(({ status }) => status)).toEqual([200, 200]);
  });

  test.each([
    ["instance", "5"],
    ["Instance.static", "6"],
    ["Model.stream", "from a method"],
  ])("%s serves", async (target, answer) => {
    expect(await (await fetch(await served(target))).text()).toBe(answer);
  });
});

describe.skipIf(existingVenv() === undefined)("a generator", () => {
  const GENERATORS = [
    ["plain", "items", "kind=refused", "kind=endless", "closed endless"],
    ["async", "numbers", "count=-1", "count=10000", "closed numbers"],
  ] as const;

  test.each(GENERATORS)("that is %s is closed when its client leaves", async (...row) => {
    const [, target, refused, long, line] = row;
    const { container, lines } = start(target);
    const { origin } = await container.ready;
    // What it raises before its first item is the response.
    const early = await fetch(`${origin}/?${refused}`);
    expect([early.status, await early.json()]).toEqual([422, { detail: "not this" }]);
    const closed = () => lines.filter((text) => text === line).length;
    const before = closed();
    const sent = request(`${origin}/?${long}`, { agent: false }).end();
    sent.on("error", () => undefined);
    const [response] = (await once(sent, "response")) as [IncomingMessage];
    response.on("error", () => undefined);
    await once(response, "data");
    sent.destroy();
    await expect.poll(closed, PATIENCE).toBe(before + 1);
  });

  test("is a stream of what its first item is", async () => {
    const origin = await served("items");
    const types = { text: "text/plain; charset=utf-8", json: "application/jsonl" };
    for (const [kind, type, body] of [
      ["text", types.text, "hello you"],
      ["bytes", "application/octet-stream", "\0\u{ff}"],
      ["values", types.json, '{"number":1}\n["Ã©"]\n'],
      ["nothing", types.text, ""],
    ] as const) {
      const response = await fetch(`${origin}/?kind=${kind}`);
      expect(response.headers.get("content-type"), kind).toBe(type);
      expect(Buffer.from(await response.arrayBuffer()).toString("latin1"), kind).toBe(body);
    }
    const whole = await fetch(`${origin}/?kind=response`);
    expect([whole.status, whole.headers.get("x-early")]).toEqual([204, "yes"]);
    const broken = await fetch(`${origin}/?kind=breaking`);
    expect(broken.status).toBe(200);
    await expect(broken.text()).rejects.toThrow("terminated");
  });
});

describe.skipIf(existingVenv() === undefined)("a class", () => {
  test("has one instance, which its hooks prepare and end", async () => {
    const { container, lines } = start("Model");
    const { origin } = await container.ready;
    for (const _ of [1, 2]) {
      const answer = await (await fetch(origin)).json();
      expect(answer).toEqual({ events: ["init", "enter", "prepare"], made: 1 });
    }
    await container.stop();
    expect(lines.filter((line) => /^(exit|finish)$/.test(line))).toEqual(["exit", "finish"]);
    expect(lines.join("\n")).toContain("RuntimeError: a hook that fails");
  });

  test("answers by the method that is named", async () => {
    expect(await (await fetch(`${await served("Model.predict")}/?x=4`)).json()).toBe(5);
  });

  test("answers by its only decorated method, as the decorator says", async () => {
    const origin = await served("Decorated");
    const response = await fetch(`${origin}/?text=a`, { method: "POST" });
    expect(await response.json()).toEqual({ text: "a" });
    expect((await fetch(`${origin}/openapi.json`)).status).toBe(200);
    const hidden = await served("Decorated", { method: "PUT", docs: false });
    expect((await fetch(`${hidden}/?text=a`, { method: "PUT" })).status).toBe(200);
    expect((await fetch(`${hidden}/openapi.json`)).status).toBe(404);
    const named = await served("Decorated.again");
    expect(await (await fetch(`${named}/?text=a`)).json()).toBe("aa");
    const plain = await served("twice");
    expect(await (await fetch(`${plain}/?text=b`, { method: "POST" })).json()).toBe("bb");
  });
});

describe.skipIf(existingVenv() === undefined)("a function of lists", () => {
  test("answers the calls of a batch together, each with its own", async () => {
    const batch = { maxBatchSize: 3, waitMs: 10_000 };
    const origin = await served("halves", {}, { batch, maxInputs: 3 });
    const ask = async (query: string) => {
      const response = await fetch(`${origin}/?${query}`);
      return [response.status, await response.json()];
    };
    const together = async (...queries: string[]) => await Promise.all(queries.map(ask));
    expect(await together("xs=4&names=a", "xs=6", "xs=0")).toEqual([
      [200, { half: 2, name: "a", of: [0, 4, 6] }],
      [200, { half: 3, name: "nobody", of: [0, 4, 6] }],
      [404, { detail: "no zero" }],
    ]);
    expect(await together("xs=13", "xs=1", "xs=2")).toEqual(
      [1, 2, 3].map(() => [502, { detail: "halves got 3 calls and returned 2 results" }]),
    );
    expect(await together("xs=14", "xs=1", "xs=2")).toEqual(
      [1, 2, 3].map(() => [503, { detail: "not now" }]),
    );
    // It never waits.
    expect(await ask("xs=four")).toMatchObject([422, {}]);
  });

  test("may be a method that is decorated, with models", async () => {
    const origin = await served("Batched");
    const ask = async (name: string) =>
      await fetch(origin, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ name }),
      });
    const answers = await Promise.all(["a", "b"].map(ask));
    expect(await Promise.all(answers.map(async (answer) => await answer.json()))).toEqual([
      "a",
      "b",
    ]);
  });

  test("a call whose client left is in no batch", async () => {
    const batch = { maxBatchSize: 3, waitMs: 10_000 };
    const origin = await served("halves", {}, { batch, maxInputs: 3 });
    const leaving = request(`${origin}/?xs=99`, { agent: false }).end();
    leaving.on("error", () => undefined);
    await once(leaving, "socket");
    // It is in the queue when a later connection has been answered.
    await once(leaving, "finish").then(async () => await fetch(`${origin}/?xs=none`));
    leaving.destroy();
    await fetch(`${origin}/?xs=none`);
    const answers = await Promise.all(
      [2, 4, 6].map(async (x) => await (await fetch(`${origin}/?xs=${x}`)).json()),
    );
    expect(answers.map((answer) => (answer as { of: unknown }).of)).toEqual(
      [1, 2, 3].map(() => [2, 4, 6]),
    );
  });

  test("gives each call of any history its own answer", async () => {
    const python = existingVenv() ?? "python3";
    const first = Math.floor(Math.random() * 1e9);
    const words = [`${DIRECTORY}/batch_histories.py`, `${first}`, `${HISTORIES}`];
    expect((await promisify(execFile)(python, words)).stdout).toBe("");
  });
});

describe.skipIf(existingVenv() === undefined)("a mistake is one clear line", () => {
  const lastLine = async (target: string, settings: Partial<EndpointConfig> = {}) => {
    const { container, lines } = start(target, {}, settings);
    await expect(container.ready).rejects.toMatchObject({ code: "starting_failed" });
    expect(lines.join("\n")).not.toContain("postern_container");
    return lines.at(-1);
  };

  test.each([
    ["number", "postern: handlers:number is of type int and not a function"],
    [
      "Silent",
      "postern: handlers:Silent has no __call__: name the method that answers, as in handlers:Silent.predict",
    ],
    [
      "Two",
      "postern: handlers:Two has several endpoints (answer, other): name one, as in handlers:Two.answer",
    ],
    [
      "Failing",
      "postern: what runs before the first call of handlers:Failing failed: RuntimeError: no GPU here",
    ],
    [
      "NeedsSettings",
      "postern: handlers:NeedsSettings() failed: TypeError: NeedsSettings.__init__() missing 1 required positional argument: 'settings'",
    ],
  ])("%s", async (target, line) => {
    expect(await lastLine(target)).toBe(line);
  });

  test("and nothing else, where uvloop is missing", async () => {
    const env = { PYTHONPATH: `${DIRECTORY}/without-uvloop` };
    const { container, lines } = start("NeedsSettings", {}, { env });
    await expect(container.ready).rejects.toMatchObject({ code: "starting_failed" });
    expect(lines.join("\n")).not.toContain("uvloop");
  });

  test("a missing FastAPI", async () => {
    const directory = `${DIRECTORY}/without`;
    const { container, lines } = start("square", {}, { env: { PYTHONPATH: directory } });
    await expect(container.ready).rejects.toMatchObject({ code: "starting_failed" });
    expect(lines).toEqual([
      expect.stringMatching(
        /^postern: fastapi is not installed: run .* -m pip install 'fastapi\[standard\]'$/,
      ),
    ]);
  });
});

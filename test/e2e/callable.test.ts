/** Functions and classes through their public URLs. */
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { APPS, type EndpointTable, type Gateway, ROOT, startUp } from "../support/harness.ts";
import { open, send } from "../support/http-client.ts";
import { ensureVenv } from "../support/venv.ts";

const EXAMPLE = join(ROOT, "origin-gpu/examples/functions");
const PAGE = "https://page.example";

describe("Python functions and classes", () => {
  let postern: Gateway;

  beforeAll(async () => {
    const example = { directory: EXAMPLE, python: await ensureVenv() };
    const python = { directory: APPS, python: await ensureVenv() };
    const endpoints: EndpointTable[] = [
      { function: "square", callable: "server:square", ...example },
      { function: "countdown", callable: "server:countdown", cors: false, ...example },
      {
        function: "embed",
        callable: "server:embed",
        batch: { max_batch_size: 2, wait_ms: 10_000 },
        ...example,
      },
      { function: "count", callable: "callables:Counter.count", method: "POST", ...python },
      { function: "again", containers_of: "count" },
      {
        function: "model",
        callable: "callables:Model.describe",
        parameters: {
          name: { type: "str" },
          size: { type: "int", default: 7 },
          fast: { type: "bool", default: false },
          key: { type: "bytes", default: "" },
        },
        ...python,
      },
      { function: "second", containers_of: "model" },
    ];
    postern = await startUp(endpoints);
  });
  afterAll(async () => await postern.stop());

  test("a page of another origin may call a function, unless the file says otherwise", async () => {
    const ask = async (name: string) =>
      await send(postern.address(name), "/?x=3", {
        method: "OPTIONS",
        headers: { origin: PAGE, "access-control-request-method": "GET" },
      });
    expect((await ask("square")).headers["access-control-allow-origin"]).toBe("*");
    expect((await ask("again")).headers["access-control-allow-origin"]).toBe("*");
    expect((await ask("countdown")).headers["access-control-allow-origin"]).toBeUndefined();
    const answer = await send(postern.address("square"), "/?x=3", { headers: { origin: PAGE } });
    expect(answer.json()).toEqual({ square: 9 });
    expect(answer.headers["access-control-allow-origin"]).toBe("*");
  });

  test("what a generator yields arrives as it comes", async () => {
    const response = await open(postern.address("countdown"), "/?start=3");
    const pieces: string[] = [];
    for await (const piece of response.setEncoding("utf8")) pieces.push(piece as string);
    expect(pieces.join("")).toBe("3\n2\n1\n");
    expect(pieces.length).toBeGreaterThan(1);
  });

  test("two clients are answered by one call of a function of lists", async () => {
    // Neither is answered without the other.
    const ask = async (text: string) =>
      (await send(postern.address("embed"), `/?texts=${text}`, { timeoutMs: 60_000 })).json();
    expect(await Promise.all([ask("hello"), ask("a+b")])).toEqual([
      [5, 0],
      [3, 1],
    ]);
  });

  test("query parameters select the instance that answers, and are its arguments", async () => {
    const ask = async (query: string, name = "model") => {
      const headers = { accept: "application/json" };
      const answer = await send(postern.address(name), `/${query}`, { headers });
      return [answer.status, answer.json()];
    };
    const small = { name: "small", size: 7, fast: false, key: [], asked: "a" };
    expect(await ask("?name=small&word=a")).toEqual([200, { ...small, calls: 1 }]);
    const large = { name: "large", size: -8, fast: true, key: [255, 0], asked: "b" };
    const query = "?word=b&key=%2FwA&fast=1&size=-8&name=large";
    expect(await ask(query)).toEqual([200, { ...large, calls: 1 }]);
    expect(await ask(query, "second")).toEqual([200, { ...large, calls: 2 }]);
    expect(await ask("?name=small&size=7&word=a")).toEqual([200, { ...small, calls: 2 }]);
    expect(await ask("?word=a")).toMatchObject([
      400,
      { code: "parameter_missing", detail: "the query parameter name is required" },
    ]);
    expect(await ask("?name=small&size=ten")).toMatchObject([
      400,
      { code: "parameter_invalid", detail: "size must be an integer of 64 bits" },
    ]);
  });

  test("the calls of a class meet the same instance", async () => {
    const count = async (name: string) =>
      (
        await send(postern.address(name), "/", {
          method: "POST",
          headers: { "content-type": "application/json" },
          body: '{"a": 1}',
        })
      ).json();
    expect(await count("count")).toEqual({ calls: 1, item: { a: 1 } });
    expect(await count("again")).toEqual({ calls: 2, item: { a: 1 } });
  });
});

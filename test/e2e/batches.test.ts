/** Single requests of clients as lists to an app that works on lists. */
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { APPS, type Gateway, startUp } from "../support/harness.ts";
import { open, send } from "../support/http-client.ts";

const SIZE = 8;

describe("an app of lists behind batch", () => {
  let postern: Gateway;

  beforeAll(async () => {
    postern = await startUp([
      {
        function: "web",
        web_server: ["node", join(APPS, "list-server.ts")],
        batch: { max_batch_size: SIZE, wait_ms: 200 },
        max_inputs: 4 * SIZE,
      },
    ]);
    await send(postern.address(), "/", { timeoutMs: 60_000 });
  });
  afterAll(async () => await postern.stop());

  const post = async (n: number, path = "/double", headers = {}) =>
    await send(postern.address(), path, {
      method: "POST",
      headers: { "content-type": "application/json", ...headers },
      body: JSON.stringify({ n }),
    });
  const sizes = async () => (await send(postern.address(), "/")).json() as number[];
  const numbers = Array.from({ length: 2 * SIZE }, (_, n) => n);

  test("each client gets the answer to its own request", async () => {
    const before = await sizes();
    const answers = await Promise.all(numbers.map(async (n) => await post(n)));
    expect(answers.map((answer) => answer.json())).toMatchObject(
      numbers.map((n) => ({ double: 2 * n })),
    );
    const lists = (await sizes()).slice(before.length);
    expect(lists.reduce((sum, size) => sum + size, 0)).toBe(numbers.length);
    expect(Math.max(...lists)).toBeLessThanOrEqual(SIZE);
    expect(Math.max(...lists)).toBeGreaterThan(1);
    expect(answers[0]?.headers["content-type"]).toBe("application/json");
  });

  test("what one client may see is asked for under its own credentials", async () => {
    const answers = await Promise.all(
      ["one", "other"].map(async (cookie) => await post(1, "/double", { cookie })),
    );
    expect(answers.map((answer) => answer.json())).toEqual(
      [1, 2].map(() => ({ double: 2, of: 1 })),
    );
  });

  test("a request that is no JSON list's element is refused by itself", async () => {
    const wrong = await send(postern.address(), "/double", {
      method: "POST",
      headers: { "content-type": "application/json", accept: "application/json" },
      body: '{"n": 1}, {"n": 2}',
    });
    expect([wrong.status, wrong.json()]).toMatchObject([400, { code: "bad_request" }]);
  });

  test("one request of a batch may fail", async () => {
    const answers = await Promise.all([1, 2].map(async (n) => await post(n, "/statuses")));
    expect(answers.map(({ status, text }) => [status, text])).toEqual([
      [404, '{"n":1}'],
      [200, '{"n":2}'],
    ]);
  });

  test.each([
    ["/short", "has 0 elements"],
    ["/stream", "with a stream"],
  ])("an answer of %s fails the batch, with the reason", async (path, words) => {
    const answer = await post(1, path, { accept: "application/json" });
    expect([answer.status, answer.json()]).toMatchObject([
      502,
      { code: "origin_error", detail: expect.stringContaining(words) as string },
    ]);
  });

  test("a client that left takes no place in a batch", async () => {
    const before = await sizes();
    const leaving = new AbortController();
    const left = open(postern.address(), "/double", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: '{"n": 100}',
      signal: leaving.signal,
    });
    left.catch(() => undefined);
    const others = Array.from({ length: SIZE - 1 }, async (_, n) => await post(n));
    leaving.abort();
    expect((await Promise.all(others)).map(({ status }) => status)).toEqual(others.map(() => 200));
    const after = (await sizes()).slice(before.length);
    expect(after.reduce((sum, size) => sum + size, 0)).toBeLessThanOrEqual(SIZE);
  });
});

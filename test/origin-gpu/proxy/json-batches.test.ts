/** Batches of an app that the test plays, with time that the test lets pass. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";

import type { Call } from "../../../origin-gpu/calls/call.ts";
import { JsonBatches, type AskWhole } from "../../../origin-gpu/proxy/json-batches.ts";
import type { ProxiedCall } from "../../../origin-gpu/proxy/app-request.ts";
import type { WholeAnswer, WholeFailure } from "../../../origin-gpu/proxy/whole-request.ts";
import { runs } from "../../support/runs.ts";
import { VirtualClock } from "../../support/virtual-clock.ts";

const WAIT_MS = 20;
const TIMEOUT_MS = 5_000;

/** What a client got: its status and body, a failure's code and words, or nothing. */
type Outcome = readonly [status: number | string, body: string] | undefined;

class Client {
  outcome: Outcome;
  over = false;
  readonly body: { chunks: () => AsyncGenerator<Uint8Array>; restore: () => void };
  readonly head;
  #work: { abort: (reason: string) => void } | undefined;
  #status = 0;
  readonly #text: string[] = [];

  constructor(body: string | readonly Uint8Array[], target = "/", type = "application/json") {
    const chunks = typeof body === "string" ? [Buffer.from(body)] : body;
    const headers = ["host", "a", "content-type", type];
    this.head = { callId: "c", endpoint: "e", method: "POST", target, headers };
    this.body = {
      async *chunks() {
        yield* chunks;
      },
      restore: () => undefined,
    };
  }

  start(work: { abort: (reason: string) => void }): void {
    this.#work = work;
  }

  respond({ status }: { status: number }): void {
    this.#status = status;
  }

  append(bytes: Uint8Array): void {
    this.#text.push(Buffer.from(bytes).toString());
  }

  complete(): void {
    this.outcome = [this.#status, this.#text.join("")];
    this.over = true;
  }

  fail({ code, detail }: { code: string; detail: string }): void {
    if (this.over) return;
    this.outcome = [code, detail];
    this.over = true;
  }

  leave(): void {
    if (this.over) return;
    this.over = true;
    this.#work?.abort("it left");
  }

  get proxied(): ProxiedCall {
    return {
      call: this as unknown as Call,
      waited: { queue: 0, start: 0 },
      limits: { timeoutMs: TIMEOUT_MS, maxDurationMs: 10 * TIMEOUT_MS },
    };
  }
}

function answer(body: unknown, headers: Record<string, string> = {}, status = 200): WholeAnswer {
  const lines = Object.entries(headers).flat();
  const rawHeaders = ["content-type", "application/json", ...lines].map((text) =>
    Buffer.from(text),
  );
  return { status, rawHeaders, body: Buffer.from(JSON.stringify(body)) };
}

type App = (
  list: unknown[],
  options: Parameters<AskWhole>[1],
) => Promise<WholeAnswer | WholeFailure>;

/** Sends clients into batches of at most three, to an app. */
function batchesTo(app: App, maxBatchSize = 3) {
  const clock = new VirtualClock();
  const seen: unknown[][] = [];
  const ask: AskWhole = async ({ body }, options) => {
    const list = JSON.parse(body) as unknown[];
    seen.push(list);
    return await app(list, options);
  };
  const batches = new JsonBatches({ maxBatchSize, waitMs: WAIT_MS }, ask, clock);
  const send = (client: Client): Client => {
    expect(batches.take(client.proxied)).toBe(true);
    return client;
  };
  /** Lets time pass behind what is under way. */
  const pass = async (ms: number): Promise<void> => {
    await clock.advance(0);
    await clock.advance(ms);
  };
  return { clock, seen, batches, send, pass };
}

const echo: App = async (list) => answer(list.map((element) => ({ got: element })));

describe("requests", () => {
  test("are sent when a batch is full, or when the first has waited", async () => {
    const { clock, seen, send, pass } = batchesTo(echo);
    const clients = ["1", "2", "3", "4"].map((body) => send(new Client(body)));
    await pass(0);
    expect(seen).toEqual([[1, 2, 3]]);
    await pass(WAIT_MS - 1);
    expect(seen).toHaveLength(1);
    await pass(1);
    expect(seen).toEqual([[1, 2, 3], [4]]);
    expect(clients.map(({ outcome }) => outcome)).toEqual(
      [1, 2, 3, 4].map((n) => [200, `{"got":${n}}`]),
    );
    expect(clock.pending).toBe(0);
  });

  test("of another path, or that are no JSON, are not in one batch", async () => {
    const { seen, send, batches, pass } = batchesTo(echo);
    send(new Client("1", "/a"));
    send(new Client("2", "/b"));
    expect(batches.take(new Client("3", "/a", "text/plain").proxied)).toBe(false);
    await pass(WAIT_MS);
    expect(seen).toEqual([[1], [2]]);
  });

  test("of 1 MiB are elements, and larger ones are not", async () => {
    const { send, pass } = batchesTo(echo);
    const sent = [-1, 0, 1].map((more) => send(new Client(`"${"x".repeat(2 ** 20 - 2 + more)}"`)));
    await pass(WAIT_MS);
    expect(sent.map(({ outcome }) => outcome?.[0])).toEqual([200, 200, "body_too_large"]);
  });

  test("that can't be elements are refused, alone", async () => {
    const { seen, send, pass } = batchesTo(echo);
    const refused = [
      send(new Client("1], [2")),
      send(new Client("")),
      send(new Client([Buffer.from([0x22, 0xff, 0x22])])),
      send(new Client(`"${"x".repeat(2 ** 20)}"`)),
    ];
    const right = send(new Client([Buffer.from(' {"a":'), Buffer.from("1} ")]));
    await pass(WAIT_MS);
    expect(refused.map(({ outcome }) => outcome)).toEqual([
      ["bad_request", "the body is not JSON"],
      ["bad_request", "the body is not JSON"],
      ["bad_request", "the body is not UTF-8"],
      ["body_too_large", "a request of a batch has at most 1048576 bytes"],
    ]);
    expect(seen).toEqual([[{ a: 1 }]]);
    expect(right.outcome).toEqual([200, '{"got":{"a":1}}']);
  });

  test("whose client left take no place; without any the app's request ends", async () => {
    let aborted = false;
    const hanging: App = async (_, { signal }) =>
      await new Promise((resolve) => {
        signal.addEventListener("abort", () => {
          aborted = true;
          resolve({ error: signal.reason as Error, isSent: true, isAnswered: false });
        });
      });
    const { seen, send, pass } = batchesTo(hanging);
    const [first, second] = [send(new Client("1")), send(new Client("2"))];
    await pass(1);
    first.leave();
    const [third, fourth] = [send(new Client("3")), send(new Client("4"))];
    await pass(1);
    expect(seen).toEqual([[2, 3, 4]]);
    for (const client of [second, third]) client.leave();
    expect(aborted).toBe(false);
    fourth.leave();
    await pass(0);
    expect(aborted).toBe(true);
  });
});

describe("an answer", () => {
  const outcomesOf = async (app: App) => {
    const { send, pass } = batchesTo(app);
    const clients = ["1", "2", "3"].map((body) => send(new Client(body)));
    await pass(TIMEOUT_MS);
    return clients.map(({ outcome }) => outcome);
  };
  const each = (outcome: Outcome) => [outcome, outcome, outcome];

  test("may give each element a status of its own", async () => {
    const statuses = { "Postern-Batch-Status": "200, 404, 503" };
    expect(await outcomesOf(async (list) => answer(list, statuses))).toEqual([
      [200, "1"],
      [404, "2"],
      [503, "3"],
    ]);
  });

  test("that is no success is that of each request", async () => {
    const refusing: App = async () => answer({ detail: "no" }, {}, 422);
    expect(await outcomesOf(refusing)).toEqual(each([422, '{"detail":"no"}']));
  });

  test.each([
    ["of another length", answer([1, 2]), "has 2 elements"],
    ["that is no list", answer({ a: 1 }), "is no JSON list"],
    [
      "with too few statuses",
      answer([1, 2, 3], { "postern-batch-status": "200" }),
      "has another Postern-Batch-Status than 3 statuses",
    ],
  ])("%s fails the batch", async (_, wrong, words) => {
    expect(await outcomesOf(async () => wrong)).toEqual(
      each(["origin_error", `the app's answer of a batch of 3 ${words}`]),
    );
  });

  test.each([
    [{ "content-type": "text/event-stream" }, "with a stream"],
    [{ "content-encoding": "gzip" }, "compressed"],
  ])("with %j is not waited for", async (headers, words) => {
    const { rawHeaders } = answer([], headers);
    const outcomes = await outcomesOf(async (_, { refuse }) => {
      // The first line of a name is the one that counts.
      const lines = rawHeaders.slice("content-encoding" in headers ? 0 : 2);
      const problem = refuse(200, lines) ?? "";
      return { error: new Error(problem), isSent: true, isAnswered: true };
    });
    expect(outcomes).toEqual(each(["origin_error", expect.stringContaining(words) as string]));
  });

  test("that does not come in time fails the batch", async () => {
    const outcomes = await outcomesOf(
      async (_, { signal }) =>
        await new Promise((resolve) => {
          signal.addEventListener("abort", () =>
            resolve({ error: signal.reason as Error, isSent: true, isAnswered: false }),
          );
        }),
    );
    expect(outcomes).toEqual(each(["call_timeout", "the app did not answer the batch within 5 s"]));
  });
});

test("calls wait anew where no connection could be made, and run again where one broke", async () => {
  for (const [isSent, words] of [
    [false, "refused"],
    [true, "broke"],
  ] as const) {
    const error = Object.assign(new Error("no"), { code: "ECONNREFUSED" });
    const { batches, pass } = batchesTo(async () => ({ error, isSent, isAnswered: false }));
    const told: string[] = [];
    batches.take(
      new Client("1").proxied,
      async () => void told.push("refused"),
      async () => void told.push("broke"),
    );
    await pass(WAIT_MS);
    expect(told).toEqual([words]);
  }
});

test("each asker gets its own answer, whoever comes, waits and leaves", async () => {
  const arrival = fc.record({
    afterMs: fc.constantFrom(0, 1, 5, 30),
    leavesAfterMs: fc.option(fc.nat(80), { freq: 4 }),
  });
  await fc.assert(
    fc.asyncProperty(
      fc.array(arrival, { minLength: 1, maxLength: 40 }),
      fc.integer({ min: 1, max: 6 }),
      fc.array(fc.constantFrom(0, 3, 50), { minLength: 1 }),
      async (arrivals, size, delays) => {
        const left = new Set<number>();
        let asked = 0;
        const app: App = async (list) => {
          expect(list.length).toBeLessThanOrEqual(size);
          for (const n of list as number[]) expect(left.has(n)).toBe(false);
          const delay = delays[asked++ % delays.length] ?? 0;
          await new Promise<void>((resolve) => void clock.timer(resolve, delay));
          return answer(list.map((n) => -(n as number)));
        };
        const { clock, send, pass } = batchesTo(app, size);
        const clients: Client[] = [];
        for (const [n, { afterMs, leavesAfterMs }] of arrivals.entries()) {
          await pass(afterMs);
          const client = send(new Client(`${n}`));
          clients.push(client);
          if (leavesAfterMs === null) continue;
          clock.timer(() => {
            if (!client.over) left.add(n);
            client.leave();
          }, leavesAfterMs);
        }
        await pass(1_000);
        for (const [n, { outcome }] of clients.entries()) {
          expect(outcome).toEqual(left.has(n) ? undefined : [200, JSON.stringify(-n)]);
        }
        expect(clock.pending).toBe(0);
      },
    ),
    { numRuns: runs(100) },
  );
});

/** The stream of a client that waits, with a clock of its own. */
import { describe, expect, test, vi } from "vitest";
import type { Attempt, ResponseBody } from "../../../../gateway/contracts/attempt.ts";
import { livelyBody, livelyStream } from "../../../../gateway/worker/edge/life-signs.ts";
import { STATUS_LIMIT_MS } from "../../../../gateway/worker/edge/waiting-clients.ts";
import { FIRST_SIGN_MS } from "../../../../routing/life-signs.ts";

const EVENTS = { status: 200, headers: ["content-type", "text/event-stream; charset=utf-8"] };
const PLACE = { callId: "c", status: "pending", position: 2, etaMs: 4_000, elapsedMs: 1 } as const;
const SIGN = ": waiting position=2 eta=4\n\n";

const encoder = new TextEncoder();

/** The longest that a client may hear nothing. */
const SILENCE_MS = 10_000;

/** Timers that end when the test says so. */
class Clock {
  readonly #waits = new Set<() => void>();
  /** How long each of them was to take. */
  readonly waitsMs: number[] = [];
  readonly timer = (expired: () => void, delayMs: number): (() => void) => {
    this.#waits.add(expired);
    this.waitsMs.push(delayMs);
    return () => this.#waits.delete(expired);
  };

  /** Waits until somebody waits, and ends that. */
  async tick(): Promise<void> {
    await vi.waitFor(() => expect(this.#waits.size).toBe(1), 15_000);
    for (const expired of this.#waits) {
      this.#waits.delete(expired);
      expired();
    }
  }
}

const ask = async () => PLACE;

/** A client that reads all it gets. */
function reading(stream: ReadableStream<Uint8Array>) {
  const heard = { text: "" };
  const decoder = new TextDecoder();
  const ended = (async () => {
    for await (const chunk of stream) heard.text += decoder.decode(chunk, { stream: true });
    return heard.text;
  })();
  ended.catch(() => undefined);
  return { heard, ended };
}

const hears = async (heard: { text: string }, text: string) =>
  await vi.waitFor(() => expect(heard.text).toBe(text), 15_000);

function responseOf(body: ResponseBody, head = EVENTS): Attempt {
  return { kind: "response", head, body, resumable: false };
}

/** An app's body. The runtime pipes no native transform into another one, and no body that comes over a link is one. */
function streaming() {
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
  const writer = writable.getWriter();
  return { body: readable, write: (text: string) => writer.write(encoder.encode(text)), writer };
}

describe("a client that waits", () => {
  test("hears a sign at once and then others, until the first byte of the app's events", async () => {
    const clock = new Clock();
    const answer = Promise.withResolvers<Attempt>();
    const { heard, ended } = reading(livelyStream(answer.promise, ask, clock.timer));
    await hears(heard, SIGN);
    await clock.tick();
    await hears(heard, SIGN.repeat(2));

    const app = streaming();
    answer.resolve(responseOf(app.body));
    await vi.waitFor(() => expect(app.body.locked).toBe(true), 15_000);
    await clock.tick();
    await hears(heard, SIGN.repeat(3));
    await app.write("data: 1\n");
    await hears(heard, `${SIGN.repeat(3)}data: 1\n`);
    await app.write("\n");
    await app.writer.close();
    expect(await ended).toBe(`${SIGN.repeat(3)}data: 1\n\n`);
  });

  test("hears a sign at least every 10 s, though its box tells the place late each time", async () => {
    // The first sign, and each next one, waits so long for the box at most.
    expect(FIRST_SIGN_MS + STATUS_LIMIT_MS).toBeLessThanOrEqual(SILENCE_MS);
    const clock = new Clock();
    const { promise } = Promise.withResolvers<Attempt>();
    const { heard } = reading(livelyStream(promise, ask, clock.timer));
    for (let signs = 1; signs <= 4; signs += 1) {
      await hears(heard, SIGN.repeat(signs));
      await clock.tick();
    }
    await hears(heard, SIGN.repeat(5));
    expect(clock.waitsMs.length).toBeGreaterThanOrEqual(4);
    expect(Math.max(...clock.waitsMs) + STATUS_LIMIT_MS).toBeLessThanOrEqual(SILENCE_MS);
  });

  test("hears no place where the box tells none", async () => {
    const answer = Promise.resolve(responseOf(encoder.encode("data: 1\n\n")));
    const { ended } = reading(livelyStream(answer, async () => undefined, new Clock().timer));
    expect(await ended).toBe(": waiting\n\ndata: 1\n\n");
  });

  test.each<[string, Attempt, string]>([
    ["nothing", responseOf(null), ""],
    [
      "JSON, which becomes an event",
      responseOf(encoder.encode('{\n"a": 1}\n'), {
        status: 200,
        headers: ["content-type", "application/json"],
      }),
      'data: {\ndata: "a": 1}\n\n',
    ],
    [
      "an error of the app",
      responseOf(encoder.encode('{"error": {"message": "no such model"}}'), {
        status: 404,
        headers: ["content-type", "application/json"],
      }),
      'event: error\ndata: {"type":"error","error":{"status":404,"message":"no such model"}}\n\n',
    ],
    [
      "a failure of Postern's own",
      { kind: "failed", cause: "reset", failure: { code: "queue_full", detail: "full" } },
      'event: error\ndata: {"type":"error","error":{"message":"full","type":"rate_limit_error","code":"queue_full","param":null}}\n\n',
    ],
  ])("is answered with %s", async (_name, attempt, text) => {
    const stream = livelyStream(Promise.resolve(attempt), ask, new Clock().timer);
    expect(await reading(stream).ended).toBe(SIGN + text);
  });

  test("is answered with JSON of 64 KiB as one event, and with an error in the place of more", async () => {
    const answered = async (text: string) => {
      const bytes = encoder.encode(text);
      const body = new ReadableStream<Uint8Array>({
        start(controller) {
          for (let at = 0; at < bytes.length; at += 1_000) {
            controller.enqueue(bytes.subarray(at, at + 1_000));
          }
          controller.close();
        },
      });
      const head = { status: 200, headers: ["content-type", "application/json"] };
      const answer = Promise.resolve(responseOf(body, head));
      return await reading(livelyStream(answer, ask, new Clock().timer)).ended;
    };
    /** JSON of so many bytes. */
    const textOf = (bytes: number, letter = "x") =>
      `"${letter.repeat((bytes - 2) / encoder.encode(letter).length)}"`;
    for (const text of [textOf(65_535), textOf(65_536), textOf(65_536, "é")]) {
      expect(await answered(text)).toBe(`${SIGN}data: ${text}\n\n`);
    }
    for (const text of [textOf(65_537), textOf(65_538, "é")]) {
      expect(await answered(text)).toContain('"code":"origin_error"');
    }
  });

  test.each([
    ["a page", ["content-type", "text/html"]],
    ["compressed events", ["content-type", "text/event-stream", "content-encoding", "gzip"]],
  ])("gets an error in the place of %s", async (_name, headers) => {
    const attempt = responseOf(encoder.encode("x"), { status: 200, headers });
    const stream = livelyStream(Promise.resolve(attempt), ask, new Clock().timer);
    expect(await reading(stream).ended).toContain('"code":"origin_error"');
  });

  test("sees a break, where the call's answer is a fault or it has left", async () => {
    const fault = Promise.reject<Attempt>(new Error("a fault"));
    fault.catch(() => undefined);
    const faulty = livelyStream(fault, ask, new Clock().timer);
    await expect(reading(faulty).ended).rejects.toThrow();
    const failure = { code: "client_closed", detail: "" } as never;
    const left = Promise.resolve<Attempt>({ kind: "failed", cause: "cancelled", failure });
    await expect(reading(livelyStream(left, ask, new Clock().timer)).ended).rejects.toThrow();
  });
});

describe("a client whose response began in time", () => {
  test("hears signs until the first byte", async () => {
    const clock = new Clock();
    const app = streaming();
    const body = livelyBody(EVENTS, app.body, ask, clock.timer);
    const { heard, ended } = reading(body as ReadableStream<Uint8Array>);
    await clock.tick();
    await hears(heard, SIGN);
    await app.write("data: 1\n\n");
    await hears(heard, `${SIGN}data: 1\n\n`);
    await app.writer.close();
    expect(await ended).toBe(`${SIGN}data: 1\n\n`);
    // Its head had come a moment before.
    expect(Math.max(...clock.waitsMs) + STATUS_LIMIT_MS).toBeLessThanOrEqual(SILENCE_MS);
  });

  test("that leaves is told to the app, before the first byte too", async () => {
    const clock = new Clock();
    const cancelled = Promise.withResolvers<void>();
    const app = new ReadableStream<Uint8Array>({ cancel: () => cancelled.resolve() });
    const body = livelyBody(EVENTS, app, ask, clock.timer) as ReadableStream<Uint8Array>;
    const reader = body.getReader();
    const read = reader.read();
    await clock.tick();
    expect(new TextDecoder().decode((await read).value)).toBe(SIGN);
    await reader.cancel();
    await clock.tick().catch(() => undefined);
    await cancelled.promise;
  });

  test.each([
    ["another type", ["content-type", "application/json"]],
    ["a length", [...EVENTS.headers, "content-length", "9"]],
    ["an encoding", [...EVENTS.headers, "content-encoding", "br"]],
  ])("with %s gets its body as it is", (_name, headers) => {
    const { body } = streaming();
    expect(livelyBody({ status: 200, headers }, body, ask, new Clock().timer)).toBe(body);
  });
});

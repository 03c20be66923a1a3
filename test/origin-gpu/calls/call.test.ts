/** The rules of one passing call: what shares a frame, when the app waits, how it ends, who takes over. */
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { GIB, KIB } from "../../../base/units.ts";
import { NO_TOPICS, type ObservedEvent, Observer } from "../../../base/observer.ts";
import { SharedRoom } from "../../../origin-gpu/calls/shared-room.ts";
import type { Call } from "../../../origin-gpu/calls/call.ts";
import { CallRegistry } from "../../../origin-gpu/calls/call-registry.ts";
import { RingBudget } from "../../../origin-gpu/calls/response/replay-ring.ts";
import {
  COALESCE_MS,
  DETACHED_MS,
  INITIAL_WINDOW_BYTES,
  REPLAY_RING_BYTES,
} from "../../../routing/wire/limits.ts";
import type { RequestHead } from "../../../routing/wire/heads.ts";
import type { Stream, StreamEnding, StreamEvents } from "../../../routing/wire/multiplexer.ts";
import { LinkPair } from "../../routing/wire/link-pair.ts";

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
});
afterEach(() => {
  vi.useRealTimers();
});

const NO_BODY = new Uint8Array(0);
const TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const HEAD: RequestHead = {
  callId: "c",
  endpoint: "e",
  method: "GET",
  target: "/",
  headers: ["traceparent", TRACE],
};

/** A client that notes each frame that it gets. */
class Client implements StreamEvents {
  readonly frames: string[] = [];
  bytes = 0;
  ending: StreamEnding | undefined;
  onHead(_head: string, body: Uint8Array, end: boolean): void {
    this.bytes += body.length;
    this.frames.push(`head+${body.length}${end ? " end" : ""}`);
  }
  onData(bytes: Uint8Array, end: boolean): void {
    this.bytes += bytes.length;
    this.frames.push(`${bytes.length}${end ? " end" : ""}`);
  }
  onEnd(ending: StreamEnding): void {
    this.ending = ending;
  }
  get failure(): string | undefined {
    return this.ending !== undefined && "failure" in this.ending ? this.ending.failure : undefined;
  }
}

/** One call with its app, a link, and a clock that stands still. */
class Bench {
  readonly #starts: boolean;
  now = 1000;
  readonly rings = new RingBudget();
  readonly app: string[] = [];
  readonly events: ObservedEvent[] = [];
  readonly carrier = { congested: false, drained: [] as (() => void)[] };
  #soon: (() => void)[] = [];
  #later: (() => void)[] = [];
  readonly calls = new CallRegistry({
    context: {
      now: () => this.now,
      soon: (callback) => this.#soon.push(callback),
      later: (callback) => this.#later.push(callback),
      aMoment: (call) => this.#later.push(() => call.onMoment()),
      rings: this.rings,
      heads: new SharedRoom(GIB),
      observer: new Observer({
        sinks: [(event) => this.events.push(event)],
        now: () => this.now,
        debug: { ...NO_TOPICS, calls: true },
      }),
    },
    durable: undefined,
  });
  link: LinkPair;
  call!: Call;

  /** @param starts whether the app gets the call at once */
  constructor({ starts = true } = {}) {
    this.#starts = starts;
    this.link = this.#link();
  }

  #link(): LinkPair {
    const carrier = {
      isCongested: (): boolean => this.carrier.congested,
      get congested(): boolean {
        return this.isCongested();
      },
      whenDrained: (resume: () => void): void => void this.carrier.drained.push(resume),
    };
    const runner = {
      resultTtlMs: 0,
      run: (call: Call): void => {
        this.call = call;
        if (!this.#starts) return;
        call.start({
          pause: () => this.app.push("pause"),
          resume: () => this.app.push("resume"),
          abort: (reason) => this.app.push(`abort: ${reason}`),
        });
      },
    };
    return new LinkPair({
      onOpen: (stream, _head, body, end) =>
        this.calls.open(stream, carrier, { ...HEAD }, { body, end }, runner),
      onAttach: (stream, offset) =>
        this.calls.attach(stream, carrier, { callId: HEAD.callId, offset: Number(offset) }),
    });
  }

  /** What a client hears that attaches when the agent knows the call no more. */
  unknown(): boolean {
    return this.attach(0).client.failure?.includes("call_lost") ?? false;
  }

  /** The client's request, whole and without a body unless the test says otherwise. */
  open(end = true): { client: Client; stream: Stream } {
    const client = new Client();
    const stream = this.link.gateway.open("{}", NO_BODY, end, client) as Stream;
    this.link.exchange();
    return { client, stream };
  }

  attach(offset: number): { client: Client; stream: Stream } {
    const client = new Client();
    const stream = this.link.gateway.attach(String(offset), client) as Stream;
    this.link.exchange();
    this.turn();
    return { client, stream };
  }

  /** The link breaks and another one takes its place. */
  cut(): void {
    this.link.cut();
    this.link = this.#link();
  }

  respond(headers: string[] = [], eager = false): void {
    this.call.respond({ status: 200, headers }, eager);
  }

  /** The agent's next turn; what it sends arrives. */
  turn(): void {
    const callbacks = this.#soon;
    this.#soon = [];
    for (const callback of callbacks) callback();
    this.link.exchange();
  }

  tick(): void {
    this.now += COALESCE_MS;
    const callbacks = this.#later;
    this.#later = [];
    for (const callback of callbacks) callback();
    this.turn();
  }

  relieve(): void {
    this.carrier.congested = false;
    for (const resume of this.carrier.drained.splice(0)) resume();
    this.link.exchange();
  }
}

describe("what shares a frame", () => {
  test("a response that is complete within the turn is one frame", () => {
    const bench = new Bench();
    const { client } = bench.open();
    bench.respond();
    bench.call.append(new Uint8Array(10));
    bench.call.append(new Uint8Array(20));
    bench.call.complete();
    bench.turn();
    expect(client.frames).toEqual(["head+30 end"]);
  });

  test("a short response of declared length waits for its last byte, not for longer", () => {
    const bench = new Bench();
    const { client } = bench.open();
    bench.respond(["content-length", "30"]);
    bench.call.append(new Uint8Array(10));
    bench.turn();
    expect(client.frames).toEqual([]);
    bench.call.append(new Uint8Array(20));
    bench.turn();
    expect(client.frames).toEqual(["head+30"]);
    bench.call.complete();
    bench.turn();
    expect(client.frames).toEqual(["head+30", "0 end"]);
  });

  test("a head without a body for 5 ms goes alone", () => {
    const bench = new Bench();
    const { client } = bench.open();
    bench.respond();
    bench.turn();
    expect(client.frames).toEqual([]);
    bench.tick();
    expect(client.frames).toEqual(["head+0"]);
  });

  test("the head of an event stream goes at once", () => {
    const bench = new Bench();
    const { client } = bench.open();
    bench.respond([], true);
    bench.turn();
    expect(client.frames).toEqual(["head+0"]);
  });

  test("tokens within 5 ms share a frame; the first after a pause does not wait", () => {
    const bench = new Bench();
    const { client } = bench.open();
    bench.respond([], true);
    bench.turn();
    bench.now += 100;
    for (let token = 0; token < 3; token += 1) {
      bench.call.append(new Uint8Array(4));
      bench.turn();
    }
    expect(client.frames).toEqual(["head+0", "4"]);
    bench.tick();
    expect(client.frames).toEqual(["head+0", "4", "8"]);
  });

  test("much at once does not wait for 5 ms, and no frame is larger than 64 KiB", () => {
    const bench = new Bench();
    const { client, stream } = bench.open();
    bench.respond([], true);
    bench.turn();
    bench.call.append(new Uint8Array(32 * KIB));
    bench.turn();
    expect(client.frames).toEqual(["head+0", `${32 * KIB}`]);
    stream.consume(32 * KIB);
    bench.link.exchange();
    bench.call.append(new Uint8Array(100 * KIB));
    bench.turn();
    expect(client.bytes).toBe(32 * KIB + INITIAL_WINDOW_BYTES);
    stream.consume(INITIAL_WINDOW_BYTES);
    bench.link.exchange();
    expect(client.bytes).toBe(132 * KIB);
    const sizes = client.frames.map((frame) => Number(frame.replace("head+", "")));
    expect(Math.max(...sizes)).toBeLessThanOrEqual(64 * KIB);
  });
});

test("a call that was run is never failed as one that was not", () => {
  const bench = new Bench();
  const { client } = bench.open();
  expect(bench.call.retry()).toBe(true);
  // The next container could not be connected to: that takes nothing back.
  bench.call.start({ pause: () => undefined, resume: () => undefined, abort: () => undefined });
  bench.call.withdraw();
  bench.call.fail({ code: "starting_failed", detail: "no container" });
  bench.link.exchange();
  expect(client.failure).toContain("call_lost");
  expect(client.failure).toContain("it was not run again: no container");
});

describe("holding the app back", () => {
  test("happens when a ring's worth waits, and ends when half of it has gone", () => {
    const bench = new Bench();
    const { client, stream } = bench.open();
    bench.respond();
    const chunks = (REPLAY_RING_BYTES + INITIAL_WINDOW_BYTES) / (64 * KIB);
    for (let count = 0; count < chunks; count += 1) {
      bench.call.append(new Uint8Array(64 * KIB));
      bench.turn();
    }
    expect(bench.app).toEqual([]);
    bench.call.append(new Uint8Array(1));
    expect(bench.app).toEqual(["pause"]);
    const before = client.bytes;
    while (bench.app.length < 2) {
      stream.consume(64 * KIB);
      bench.link.exchange();
    }
    expect(bench.app).toEqual(["pause", "resume"]);
    expect(client.bytes - before).toBeGreaterThanOrEqual(REPLAY_RING_BYTES / 2);
  });

  test("is a stall from the last byte on that the client took", () => {
    const bench = new Bench();
    const { client, stream } = bench.open();
    bench.respond();
    const chunks = (REPLAY_RING_BYTES + INITIAL_WINDOW_BYTES) / (64 * KIB);
    for (let count = 0; count < chunks; count += 1) {
      bench.call.append(new Uint8Array(64 * KIB));
      bench.turn();
    }
    bench.now = 5_000;
    expect(bench.call.stalledSinceMs).toBeUndefined();
    bench.call.append(new Uint8Array(1));
    bench.now = 6_000;
    expect(bench.call.stalledSinceMs).toBe(5_000);
    stream.consume(64 * KIB);
    bench.link.exchange();
    bench.now = 7_000;
    expect(bench.call.stalledSinceMs).toBe(6_000);
    bench.call.cut(60);
    bench.link.exchange();
    expect(client.failure).toContain("took nothing of the response for 60 s");
    expect(bench.app.at(-1)).toMatch(/^abort: /);
  });

  test("is none where the app itself is slow", () => {
    const bench = new Bench();
    bench.open();
    bench.respond();
    bench.call.append(new Uint8Array(64 * KIB));
    bench.turn();
    bench.now += 600_000;
    expect(bench.call.stalledSinceMs).toBeUndefined();
  });

  test("is a stall of the body too, while the app waits for more of it", async () => {
    const bench = new Bench();
    bench.now = 2_000;
    const { client } = bench.open(false);
    expect(bench.call.stalledSinceMs).toBeUndefined();
    void bench.call.body
      .chunks()
      .next()
      .catch(() => undefined);
    await Promise.resolve();
    expect(bench.call.stalledSinceMs).toBe(2_000);
    bench.call.cut(60);
    bench.link.exchange();
    expect(client.failure).toContain("upload_interrupted");
    expect(bench.app).toEqual([
      "abort: the client sent nothing for 60 s while other requests waited",
    ]);
  });

  test("goes on while no client is attached", () => {
    const bench = new Bench();
    bench.open();
    bench.respond();
    bench.cut();
    for (let count = 0; count < 50; count += 1) bench.call.append(new Uint8Array(64 * KIB));
    expect(bench.app).toEqual(["pause"]);
  });

  test("a congested socket is waited for", () => {
    const bench = new Bench();
    const { client } = bench.open();
    bench.carrier.congested = true;
    bench.respond();
    bench.call.append(new Uint8Array(10));
    bench.call.complete();
    bench.turn();
    expect(client.frames).toEqual([]);
    bench.relieve();
    expect(client.frames).toEqual(["head+10 end"]);
  });

  test("an app that starts late in a call that is over is told so at once", () => {
    const bench = new Bench();
    bench.open();
    bench.call.cancel("gone");
    const late: string[] = [];
    const ignore = (): void => undefined;
    bench.call.start({ pause: ignore, resume: ignore, abort: (reason) => late.push(reason) });
    expect(late).toEqual(["the call is over"]);
  });
});

describe("a failure", () => {
  const failure = { code: "origin_error", detail: "broke" } as const;

  test("before the head is the response", () => {
    const bench = new Bench();
    const { client } = bench.open();
    bench.call.fail(failure);
    bench.turn();
    expect([client.frames, client.failure]).toEqual([[], JSON.stringify(failure)]);
  });

  test("is a refusal where no app has seen the call: another box may take it", () => {
    const kindOf = (bench: Bench): unknown => {
      const { client } = bench.open();
      bench.call.fail(failure);
      bench.turn();
      expect(client.failure).toBe(JSON.stringify(failure));
      return client.ending?.kind;
    };
    expect(kindOf(new Bench())).toBe("reset");
    expect(kindOf(new Bench({ starts: false }))).toBe("refused");
  });

  test("after the head cuts the client behind the last byte that came", () => {
    const bench = new Bench();
    const { client, stream } = bench.open();
    bench.respond();
    bench.call.append(new Uint8Array(100 * KIB));
    bench.turn();
    bench.call.fail(failure);
    bench.turn();
    expect([client.bytes, client.ending]).toEqual([INITIAL_WINDOW_BYTES, undefined]);
    stream.consume(INITIAL_WINDOW_BYTES);
    bench.link.exchange();
    expect([client.bytes, client.failure]).toEqual([100 * KIB, JSON.stringify(failure)]);
  });

  test("is told again to a client that attaches, for 30 s", () => {
    const bench = new Bench();
    bench.open();
    bench.call.fail(failure);
    bench.cut();
    const { client } = bench.attach(0);
    expect(client.failure).toBe(JSON.stringify(failure));
    vi.advanceTimersByTime(DETACHED_MS);
    expect([bench.call.over, bench.unknown()]).toEqual([true, true]);
  });

  test("is what a client gets whose call a user cancelled", () => {
    const bench = new Bench();
    const { client } = bench.open();
    bench.call.cancel("a user cancelled the call");
    bench.turn();
    const told = { code: "call_lost", detail: "a user cancelled the call" };
    expect([client.frames, client.failure]).toEqual([[], JSON.stringify(told)]);
    expect(bench.app).toEqual(["abort: a user cancelled the call"]);
  });

  test("after the end is none", () => {
    const bench = new Bench();
    const { client } = bench.open();
    bench.respond();
    bench.call.complete();
    bench.call.fail(failure);
    bench.turn();
    expect([client.frames, client.ending]).toEqual([["head+0 end"], undefined]);
  });
});

describe("a call without a client", () => {
  test("goes on where the client was, with its head again", () => {
    const bench = new Bench();
    bench.open();
    bench.respond();
    bench.call.append(new Uint8Array(500));
    bench.turn();
    bench.cut();
    bench.call.append(new Uint8Array(200));
    bench.call.complete();
    const { client, stream } = bench.attach(450);
    expect(client.frames).toEqual(["head+250 end"]);
    stream.finish();
    bench.link.exchange();
    expect([bench.call.over, bench.unknown(), bench.rings.held]).toEqual([true, true, 0]);
  });

  test("is cancelled after 30 s, and not before", () => {
    const bench = new Bench();
    bench.open();
    bench.cut();
    vi.advanceTimersByTime(DETACHED_MS - 1);
    expect(bench.app).toEqual([]);
    vi.advanceTimersByTime(1);
    expect(bench.app).toEqual(["abort: no client attached again"]);
    expect([bench.call.over, bench.unknown()]).toEqual([true, true]);
  });

  test("is cancelled at once when the clients' connections have ended, and not while one is attached", () => {
    const bench = new Bench();
    bench.open();
    bench.calls.onClientsGone();
    expect(bench.app).toEqual([]);
    bench.cut();
    bench.calls.onClientsGone();
    expect(bench.app).toEqual(["abort: the gateway ended, and its clients' connections with it"]);
    expect([bench.call.over, bench.unknown()]).toEqual([true, true]);
  });

  test("has 30 s again after each attach", () => {
    const bench = new Bench();
    bench.open();
    for (let count = 0; count < 3; count += 1) {
      bench.cut();
      vi.advanceTimersByTime(DETACHED_MS - 1);
      bench.attach(0);
      vi.advanceTimersByTime(DETACHED_MS);
    }
    expect(bench.app).toEqual([]);
  });

  test("can be resumed from what the ring holds, and from nowhere else", () => {
    const bench = new Bench();
    bench.open();
    bench.respond();
    bench.call.append(new Uint8Array(100));
    expect([0, 100, 101].map((offset) => bench.call.canResume(offset))).toEqual([
      true,
      true,
      false,
    ]);
  });

  test("is ended at once when the link breaks before its body is whole", () => {
    const bench = new Bench();
    bench.open(false);
    bench.cut();
    expect(bench.app).toEqual(["abort: the link broke during the upload"]);
    expect(bench.unknown()).toBe(true);
  });
});

describe("an agent that stops", () => {
  test("waits for a call whose client waits", () => {
    const bench = new Bench();
    const { client } = bench.open();
    void bench.calls.idle();
    bench.turn();
    expect([bench.app, client.ending]).toEqual([[], undefined]);
  });

  test("refuses a call that no app has seen, so that another box may have it", async () => {
    const bench = new Bench({ starts: false });
    const { client } = bench.open();
    await bench.calls.close("the agent stops");
    bench.turn();
    expect(client.ending?.kind).toBe("refused");
    expect(JSON.parse(client.failure ?? "{}")).toMatchObject({ code: "no_origin", retryAfter: 5 });
  });

  test("resets one that an app has: it may have run", async () => {
    const bench = new Bench();
    const { client } = bench.open();
    await bench.calls.close("the agent stops");
    bench.turn();
    expect(client.ending?.kind).toBe("reset");
    expect(client.failure).toContain("call_lost");
    expect(bench.app).toEqual(["abort: the agent stops"]);
  });

  test("ends a call at once whose client its gateway has given up", async () => {
    const bench = new Bench();
    const { client } = bench.open();
    const idle = bench.calls.idle("gone");
    bench.turn();
    await idle;
    expect(bench.app).toEqual(["abort: the gateway stops"]);
    expect(client.failure).toContain("the gateway stops");
  });
});

describe("who leaves and who takes over", () => {
  test("a client that leaves ends the app's work", () => {
    const bench = new Bench();
    const { stream } = bench.open();
    stream.cancel();
    bench.link.exchange();
    expect([bench.app, bench.unknown()]).toEqual([["abort: the client left"], true]);
  });

  test("a body that breaks off ends the app's work", () => {
    const bench = new Bench();
    const { stream } = bench.open(false);
    stream.reset({ code: "upload_interrupted", detail: "" });
    bench.link.exchange();
    expect(bench.app).toEqual(["abort: the request body did not arrive whole"]);
  });

  test("a newer stream takes over and the older one is told, whose end then means nothing", () => {
    const bench = new Bench();
    const { client: older } = bench.open();
    bench.respond();
    bench.call.append(new Uint8Array(100));
    bench.turn();
    const { client: newer, stream } = bench.attach(40);
    expect(older.failure).toContain("conflict");
    expect(newer.frames).toEqual(["head+60"]);
    expect(bench.link.agent.streams).toBe(1);
    stream.cancel();
    bench.link.exchange();
    expect(bench.app).toEqual(["abort: the client left"]);
  });

  test("what the app still sends into a call that is over is dropped and costs nothing", () => {
    const bench = new Bench();
    const { client, stream } = bench.open();
    stream.cancel();
    bench.link.exchange();
    bench.respond();
    bench.call.append(new Uint8Array(1000));
    bench.call.complete();
    bench.tick();
    expect([bench.rings.held, client.frames, bench.unknown()]).toEqual([0, [], true]);
  });
});

test("an operator who asks for it sees every change of state, with its reason", () => {
  const bench = new Bench();
  bench.open();
  bench.respond();
  bench.call.fail({ code: "origin_error", detail: "it closed the connection" });
  const seen = bench.events.map(({ name, fields: { from, to, reason, callId } }) => {
    return [name, from, to, reason, callId];
  });
  expect(bench.events.map(({ fields }) => fields["traceparent"])).toEqual(seen.map(() => TRACE));
  expect(seen).toEqual([
    ["call.state", "new", "queued", "opened", HEAD.callId],
    ["call.state", "queued", "running", "started", HEAD.callId],
    ["call.state", "running", "responding", "answered", HEAD.callId],
    ["call.state", "responding", "failed", "origin_error: it closed the connection", HEAD.callId],
  ]);
});

test("a call reports how far it came, with its place and its expected time", () => {
  const bench = new Bench();
  bench.open();
  const report = () => bench.calls.reportStatus([HEAD.callId, "unknown"]);
  bench.now += 1_500;
  const known = { callId: HEAD.callId, position: 0, elapsedMs: 1_500 };
  expect(report()).toEqual([{ ...known, status: "running" }]);
  const load = { running: 1, waiting: 0, room: 3, coming: 0 };
  const standingOf = () => ({ position: 3, etaMs: 2_000.4 });
  bench.call.standsBy({ standingOf, load, onPromised: () => undefined }, undefined);
  expect(report()).toEqual([{ ...known, status: "running", position: 3, etaMs: 2_000 }]);
  bench.respond();
  bench.call.complete();
  expect(report()).toMatchObject([{ status: "success" }]);
});

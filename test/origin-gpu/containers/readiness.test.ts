import { describe, expect, test } from "vitest";

import { untilReady } from "../../../origin-gpu/containers/readiness.ts";
import { VirtualClock } from "../../support/virtual-clock.ts";

const ORIGINS = ["http://127.0.0.1:20000", "http://[::1]:20000"] as const;
const [IPV4, IPV6] = ORIGINS;
const MINUTE_MS = 60_000;

/** A server that the test lets listen and answer, asked in virtual time. */
class Asked {
  readonly clock = new VirtualClock();
  readonly listening = new Set<string>();
  /** Those that answer a health question only when the test ends. */
  readonly hanging = new Set<string>();
  healthy = false;
  connections = 0;
  questions = 0;
  why = "";
  /** When it was found ready, and where. */
  found: { readonly origin: string; readonly atMs: number } | undefined;
  readonly #giveUp = new AbortController();

  constructor(healthPath?: string, ownerProblem?: (origin: string) => string | undefined) {
    const { timer, now } = this.clock;
    untilReady(ORIGINS, healthPath, this.#giveUp.signal, {
      timer,
      now,
      notYet: (why) => (this.why = why),
      ...(ownerProblem === undefined ? {} : { ownerProblem }),
      accepts: async (origin) => {
        this.connections += 1;
        return this.listening.has(origin);
      },
      healthProblem: async (origin) => {
        this.questions += 1;
        if (this.hanging.has(origin)) await new Promise(() => undefined);
        return this.healthy ? undefined : `${origin} is loading`;
      },
    }).then(
      (origin) => (this.found = { origin, atMs: now() }),
      () => undefined,
    );
  }

  /** The first try is over. */
  static async begin(...how: ConstructorParameters<typeof Asked>): Promise<Asked> {
    const asked = new Asked(...how);
    await asked.clock.advance(0);
    return asked;
  }

  giveUp(): void {
    this.#giveUp.abort(new Error("given up"));
  }
}

describe("readiness", () => {
  test.each([0, 1, 10])("is noticed within 25 ms after a load of %d minutes", async (minutes) => {
    const asked = await Asked.begin();
    await asked.clock.advance(minutes * MINUTE_MS + 7);
    const since = asked.clock.now();
    asked.listening.add(IPV6);
    await asked.clock.advance(25);
    expect(asked.found?.origin).toBe(IPV6);
    expect(asked.found?.atMs).toBeLessThanOrEqual(since + 25);
  });

  test("costs about 50 connections a second and address meanwhile", async () => {
    const asked = await Asked.begin();
    await asked.clock.advance(MINUTE_MS);
    expect(asked.connections).toBeLessThanOrEqual(2 * 60 * 52);
    asked.giveUp();
  });

  test("of a health path is noticed within 25 ms in the first second that the server listens", async () => {
    const asked = await Asked.begin("/health");
    await asked.clock.advance(MINUTE_MS);
    asked.listening.add(IPV4);
    await asked.clock.advance(1_007);
    asked.healthy = true;
    await asked.clock.advance(25);
    expect(asked.found?.origin).toBe(IPV4);
  });

  test("of a health path costs a server that listens ever fewer questions", async () => {
    const asked = await Asked.begin("/health");
    asked.listening.add(IPV4);
    const inEachMinute: number[] = [];
    for (let minute = 0; minute < 3; minute += 1) {
      const before = asked.questions;
      await asked.clock.advance(MINUTE_MS);
      inEachMinute.push(asked.questions - before);
    }
    expect(inEachMinute[0]).toBeLessThanOrEqual(400);
    expect(inEachMinute.slice(1)).toEqual([240, 240]);
    expect(asked.why).toBe(`${IPV4} is loading`);
    asked.giveUp();
  });

  test("is found where another address never answers", async () => {
    const asked = await Asked.begin("/health");
    asked.hanging.add(IPV6);
    asked.listening.add(IPV6);
    await asked.clock.advance(100);
    asked.healthy = true;
    asked.listening.add(IPV4);
    await asked.clock.advance(25);
    expect(asked.found?.origin).toBe(IPV4);
  });

  test("is not that of another program, whose owner is looked up ever less often", async () => {
    let lookUps = 0;
    const asked = await Asked.begin(undefined, (origin) => {
      lookUps += 1;
      return origin === IPV6 ? `another program listens at ${origin}` : undefined;
    });
    asked.listening.add(IPV6);
    await asked.clock.advance(MINUTE_MS);
    expect(lookUps).toBeLessThanOrEqual(400);
    expect(asked.why).toBe(`another program listens at ${IPV6}`);
    asked.listening.add(IPV4);
    await asked.clock.advance(25);
    expect(asked.found?.origin).toBe(IPV4);
  });

  test("is not looked for any more when it was found or given up", async () => {
    const given = await Asked.begin();
    given.giveUp();
    const found = await Asked.begin();
    found.listening.add(IPV4);
    for (const asked of [given, found]) {
      await asked.clock.advance(100);
      const before = asked.connections;
      await asked.clock.advance(MINUTE_MS);
      expect(asked.connections).toBe(before);
      expect(asked.clock.pending).toBe(0);
    }
  });
});

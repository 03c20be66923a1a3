/** How the Worker leads a call whose link breaks, with an object that says what it is told to. */
import { RequestHeadText } from "../../../../gateway/worker/proxy/request-head-text.ts";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import type { Env } from "../../../../gateway/contracts/env.ts";
import { linkName } from "../../../../gateway/contracts/stubs.ts";
import type { OutgoingCall } from "../../../../gateway/worker/proxy/open-on-link.ts";
import { proxyRequest } from "../../../../gateway/worker/proxy/proxy-request.ts";
import { type LocalOutcome, LocalQueue } from "../../../../gateway/contracts/local-queue.ts";
import { attemptResponse, type FailureCause } from "../../../../gateway/contracts/attempt.ts";
import { LINK_RETURN_MS, PATIENCE, VERB, WAIT } from "../../../../gateway/contracts/link.ts";
import { hasWatchedCalls, noteHalfClosed } from "../../../../gateway/contracts/watched-calls.ts";
import { DETACHED_MS } from "../../../../routing/wire/limits.ts";
import type { Failure } from "../../../../routing/wire/messages.ts";

const POST = { method: "POST", isKeyed: false, isDurable: false };
const GET = { ...POST, method: "GET" };

const LINK_LOST = ended("link_lost", { code: "call_lost", detail: "" });
const AWAY = ended("no_link", { code: "no_origin", detail: "the box is not connected" });

function ended(cause: FailureCause, failure: Failure) {
  return () => attemptResponse({ kind: "failed", cause, failure: JSON.stringify(failure) });
}

const HEAD = JSON.stringify({ status: 200, headers: [] });

const answered = () =>
  attemptResponse({
    kind: "response",
    head: HEAD,
    body: new TextEncoder().encode("done"),
    resumable: false,
  });

/** A whole response. */
function whole(head: string, body: Uint8Array) {
  return { kind: "response", head, body, resumable: false } as const;
}

/** Leads a call; the object's answers are those, in turn. */
async function lead(
  answers: readonly (() => Response)[],
  request = new Request("http://a/"),
  more: Partial<OutgoingCall> = {},
  patienceMs = 1_000,
) {
  const asked: string[] = [];
  /** How long each request to attach has the object wait for a link that is away. */
  const waits: string[] = [];
  /** How long a client waits on, as each of these requests has it. */
  const patiences: string[] = [];
  const left = [...answers];
  const stub = {
    fetch: (verb: string, { headers }: { headers: Record<string, string> }) => {
      asked.push(verb);
      if (verb === VERB.attach) {
        waits.push(headers[WAIT] ?? "");
        patiences.push(headers[PATIENCE] ?? "");
      }
      const next = left.shift();
      if (next === undefined) throw new Error("asked too often");
      return next();
    },
  };
  const env = { ORIGIN: { idFromName: (name: string) => name, get: () => stub } };
  const call = {
    callId: "call",
    workspace: "w",
    boxes: [{ box: "b", links: 1 }],
    head: new RequestHeadText(() => "{}"),
    request,
    terms: POST,
    ...more,
  };
  const pauses: number[] = [];
  const pause = async (milliseconds: number): Promise<void> => void pauses.push(milliseconds);
  const { attempt, place } = await proxyRequest(env as unknown as Env, call, patienceMs, pause);
  return { attempt, place, asked, pauses, waits, patiences };
}

const failureOf = async (...given: Parameters<typeof lead>) => {
  const { attempt } = await lead(...given);
  return attempt.kind === "failed" ? attempt.failure : attempt;
};

describe("a local call", () => {
  /** Leads a call; the object, which is in this isolate, settles it so. */
  async function leadLocally(outcome: LocalOutcome, ...answers: (() => Response)[]) {
    const queue = new LocalQueue(linkName("w", "b", 0));
    queue.publish();
    const taken = queue.next().then(([call]) => (call?.open() ?? false) && call?.settle(outcome));
    const led = await lead(answers, undefined, { mayBeLocal: true });
    expect(await taken).toBe(true);
    queue.close();
    return led;
  }

  test("is answered without a request to its object", async () => {
    const { attempt, asked } = await leadLocally(whole(HEAD, new Uint8Array(3)));
    expect(attempt).toMatchObject({ kind: "response", head: { status: 200 } });
    expect(asked).toEqual([]);
  });

  test.each([
    [50, 5],
    [2, 5],
    [50, 0],
  ])(
    "whose response declares %i bytes and has %i is an error of its box",
    async (declared, bytes) => {
      const head = JSON.stringify({ status: 200, headers: ["content-length", `${declared}`] });
      const outcome = { ...whole(head, new Uint8Array(bytes)), wholeBytes: bytes };
      const { attempt } = await leadLocally(outcome);
      expect(attempt).toMatchObject({ kind: "failed", failure: { code: "origin_error" } });
    },
  );

  test("is claimed by a request when it goes on", async () => {
    const { attempt, asked } = await leadLocally("running", answered);
    expect(attempt.kind).toBe("response");
    expect(asked).toEqual([VERB.claim]);
  });

  test("is claimed as one that is parked when it waits", async () => {
    const { asked } = await leadLocally("parked", answered);
    expect(asked).toEqual([VERB.claim]);
  });

  test("is opened by a request when the object has not opened it", async () => {
    const { asked } = await leadLocally("not_opened", answered);
    expect(asked).toEqual([VERB.open]);
  });

  test("is attached to when the link broke", async () => {
    const lost = { kind: "failed", cause: "link_lost", failure: "{}" } as const;
    const { asked } = await leadLocally(lost, answered);
    expect(asked).toEqual([VERB.attach]);
  });

  test.each([
    whole("{", new Uint8Array(0)),
    { kind: "failed", cause: "reset", failure: "{" } as const,
  ])("is an error of its origin where that says what makes no sense: $kind", async (said) => {
    const { attempt } = await leadLocally(said);
    expect(attempt).toMatchObject({ kind: "failed", failure: { code: "origin_error" } });
  });
});

test("in an outage calls are sent again until their endpoint's budget is used up", async () => {
  vi.useFakeTimers({ toFake: ["Date"] });
  onTestFinished(() => void vi.useRealTimers());
  const unknown = ended("refused", { code: "call_lost", detail: "", knownSinceMs: 60_000 });
  const outage = Array.from({ length: 6 }, () => [LINK_LOST, unknown]).flat();
  let opened = 0;
  for (let call = 0; call < 400; call += 1) {
    const terms = { terms: GET, share: "outage" };
    const { attempt, asked } = await lead(outage, undefined, terms);
    opened += asked.filter((verb) => verb === VERB.open).length;
    expect(attempt).toMatchObject({ kind: "failed", failure: { code: "call_lost" } });
  }
  // 200 at first, and one for each five calls.
  expect(opened - 400).toBeGreaterThan(200);
  expect(opened - 400).toBeLessThanOrEqual(280);
});

describe("a call that an agent refuses which another one follows", () => {
  const FAILURE = { code: "no_origin", detail: "the box is stopping", followed: true } as const;
  const stops = ended("refused", FAILURE);

  test("is opened again until the next one takes it", async () => {
    const { attempt, asked, pauses } = await lead([stops, stops, AWAY]);
    expect(attempt).toMatchObject({ failure: { detail: "the box is not connected" } });
    expect(asked).toEqual([VERB.open, VERB.open, VERB.open]);
    expect(pauses).toEqual([100, 200]);
    expect((await lead([stops, answered])).attempt.kind).toBe("response");
  });

  test("is attached to where its link is lost after all those tries", async () => {
    const lost = () => attemptResponse({ kind: "failed", cause: "link_lost", failure: "{}" });
    const tries = [...Array.from({ length: 5 }, () => stops), lost];
    const { attempt, asked } = await lead([...tries, answered]);
    expect([attempt.kind, asked.length, asked.at(-1)]).toEqual(["response", 7, VERB.attach]);
    const unknown = ended("refused", { code: "call_lost", detail: "", knownSinceMs: 60_000 });
    expect(await failureOf([...tries, unknown])).toMatchObject({ code: "call_lost" });
  });

  test("fails where none comes, or its body is gone", async () => {
    const { attempt, asked } = await lead(Array.from({ length: 6 }, () => stops));
    expect([attempt, asked.length]).toMatchObject([{ failure: FAILURE }, 6]);
    const body = new ReadableStream({
      start: (controller) => controller.enqueue(new Uint8Array(1)),
    });
    const upload = new Request("http://a/", { method: "POST", body });
    expect((await lead([stops], upload)).asked).toEqual([VERB.open]);
  });
});

test("a call that its object is too busy for is not sent again", async () => {
  const overloaded = (): Response => {
    throw Object.assign(new Error("overloaded"), { overloaded: true });
  };
  const { attempt, asked } = await lead([overloaded]);
  expect(attempt).toMatchObject({ kind: "failed", failure: { code: "unavailable" } });
  expect(asked).toEqual([VERB.open]);
});

test.each(["queue_full", "starting_failed"] as const)(
  "a box that refuses a call by %s is not asked over its other link",
  async (code) => {
    const refused = ended("refused", { code, detail: "" });
    const { attempt, asked } = await lead([refused], undefined, {
      boxes: [{ box: "b", links: 2 }],
    });
    expect(attempt).toMatchObject({ kind: "failed", failure: { code } });
    expect(asked).toEqual([VERB.open]);
  },
);

describe("a call that waits", () => {
  const parked = () => attemptResponse({ kind: "parked", patienceMs: 500 });

  /** Leads a call, and counts how often its head is made. */
  async function leadWaiting(answers: (() => Response)[], more: Partial<OutgoingCall> = {}) {
    let made = 0;
    const head = new RequestHeadText(() => {
      made += 1;
      return "{}";
    });
    const led = await lead(answers, undefined, { head, ...more });
    return { ...led, made };
  }

  test("is claimed, and its head is not made again", async () => {
    const { attempt, asked, made } = await leadWaiting([parked, answered]);
    expect(attempt.kind).toBe("response");
    expect([asked, made]).toEqual([[VERB.open, VERB.claim], 1]);
  });

  test("is attached to when the link breaks", async () => {
    const { attempt, asked } = await leadWaiting([parked, LINK_LOST, answered]);
    expect(attempt.kind).toBe("response");
    expect(asked).toEqual([VERB.open, VERB.claim, VERB.attach]);
  });

  const unknown = ended("refused", { code: "call_lost", detail: "", knownSinceMs: 60_000 });

  test("is opened again with the same head where no agent can have it, if it has no body or is safe", async () => {
    const answers = [parked, LINK_LOST, unknown, answered];
    const { attempt, asked, made } = await leadWaiting(answers);
    expect(attempt.kind).toBe("response");
    expect([asked, made]).toEqual([[VERB.open, VERB.claim, VERB.attach, VERB.open], 2]);
  });

  const refused = ended("refused", { code: "queue_full", detail: "full" });
  const BOXES = [
    { box: "b", links: 1 },
    { box: "c", links: 1 },
  ];

  test("goes to another box where its own refuses it, if its body is here still", async () => {
    const readBody = () => new TextEncoder().encode("a question");
    const answers = [parked, refused, answered];
    const kept = await lead(answers, undefined, { boxes: BOXES, readBody, hasFallback: true });
    expect(kept.attempt.kind).toBe("response");
    const gone = await lead(answers, undefined, { boxes: BOXES, readBody });
    expect(gone.attempt).toMatchObject({ kind: "failed", failure: { code: "queue_full" } });
    expect(gone.asked).toEqual([VERB.open, VERB.claim]);
  });

  test("is lost with its agent where its body is not here any more", async () => {
    const request = new Request("http://a/", { method: "POST", body: "a question" });
    const { attempt, asked } = await lead([parked, LINK_LOST, unknown], request);
    expect(attempt).toMatchObject({ kind: "failed", failure: { code: "call_lost" } });
    expect(asked).toEqual([VERB.open, VERB.claim, VERB.attach]);
  });
});

describe("a call whose link breaks", () => {
  test("is attached to again, and answered", async () => {
    const { attempt, asked } = await lead([LINK_LOST, answered]);
    expect(attempt).toMatchObject({ kind: "response", head: { status: 200 } });
    expect(asked).toEqual([VERB.open, VERB.attach]);
  });

  /** The clock goes on by itself, and with each pause between two requests to attach. */
  function fakeClock(): void {
    vi.useFakeTimers({ toFake: ["Date"] });
    const waits = vi.spyOn(scheduler, "wait").mockImplementation(async (milliseconds) => {
      vi.setSystemTime(Date.now() + milliseconds);
    });
    onTestFinished(() => {
      waits.mockRestore();
      vi.useRealTimers();
    });
  }

  /** The answer after so long. */
  const after = (milliseconds: number, answer: () => Response) => () => {
    vi.setSystemTime(Date.now() + milliseconds);
    return answer();
  };

  test("is attached to again however long it has waited, and its client waits no longer for that", async () => {
    fakeClock();
    const long = after(DETACHED_MS + 1_000, LINK_LOST);
    const { attempt, asked, patiences } = await lead(
      [LINK_LOST, long, long, answered],
      undefined,
      {},
      90_000,
    );
    expect(attempt).toMatchObject({ kind: "response", head: { status: 200 } });
    expect(asked).toEqual([VERB.open, VERB.attach, VERB.attach, VERB.attach]);
    expect(patiences).toEqual(["90000", "58900", "27800"]);
  });

  test("is lost where no link stays for as long as the agent keeps it, and does not run again", async () => {
    fakeClock();
    // As the object of a link says it.
    const lost = ended("link_lost", { code: "origin_error", detail: "" });
    const { attempt, asked } = await lead([
      LINK_LOST,
      ...Array.from({ length: 200 }, () => after(200, lost)),
    ]);
    expect(attempt).toMatchObject({ kind: "failed", failure: { code: "call_lost" } });
    expect(asked).toHaveLength(1 + 101);
    expect(asked.filter((verb) => verb === VERB.open)).toHaveLength(1);
  });

  test("is lost when its box does not come back: it may have run", async () => {
    expect(await failureOf([LINK_LOST, AWAY])).toMatchObject({ code: "call_lost" });
  });

  test("is interrupted where its body was still on its way to a box that does not come back", async () => {
    const body = new ReadableStream({ pull: (controller) => controller.close() });
    const request = new Request("http://a/", { method: "POST", body });
    expect(await failureOf([LINK_LOST, AWAY], request)).toMatchObject({
      code: "upload_interrupted",
    });
  });

  test("may be asked for again under its key when its box does not come back", async () => {
    const failure = await failureOf([LINK_LOST, AWAY], undefined, {
      terms: { ...POST, isKeyed: true },
    });
    expect(failure).toMatchObject({ code: "no_origin" });
  });

  test("is never opened again for a client that has left while it was attached to", async () => {
    const left = { code: "call_lost", detail: "the client left" } as const;
    const answers = [LINK_LOST, ended("cancelled", left)];
    const { attempt, asked } = await lead(answers, undefined, { terms: GET });
    expect(attempt).toMatchObject({ kind: "failed", cause: "cancelled" });
    expect(asked).toEqual([VERB.open, VERB.attach]);
  });

  test("is never opened again for a client that is seen to leave while it waits for its box", async () => {
    vi.useFakeTimers({ toFake: ["Date"] });
    onTestFinished(() => void vi.useRealTimers());
    const unknown = { code: "call_lost", detail: "", knownSinceMs: 60_000 } as const;
    const afterLeaving = (answer: () => Response) => () => {
      expect(hasWatchedCalls()).toBe(true);
      noteHalfClosed(["192.0.2.1:4"]);
      vi.setSystemTime(Date.now() + 250);
      noteHalfClosed(["192.0.2.1:4"]);
      vi.setSystemTime(Date.now() + 50);
      return answer();
    };
    const more = { terms: GET, connection: () => "192.0.2.1:4" };
    const answers = [LINK_LOST, afterLeaving(ended("refused", unknown))];
    const { attempt, asked } = await lead(answers, undefined, more);
    expect(attempt).toMatchObject({ kind: "failed", cause: "cancelled" });
    expect(asked).toEqual([VERB.open, VERB.attach]);
    expect(hasWatchedCalls()).toBe(false);
    noteHalfClosed([]);
    const stays = await lead([LINK_LOST, ended("refused", unknown), answered], undefined, more);
    expect(stays.attempt.kind).toBe("response");
  });

  test("is sent again where the agent vouches that it never saw it", async () => {
    const unknown = { code: "call_lost", detail: "", knownSinceMs: 60_000 } as const;
    const { attempt, asked } = await lead([LINK_LOST, ended("refused", unknown), answered]);
    expect(attempt.kind).toBe("response");
    expect(asked).toEqual([VERB.open, VERB.attach, VERB.open]);
  });

  test("is opened again with growing pauses, and given up where no agent ever sees it", async () => {
    const unknown = { code: "call_lost", detail: "", knownSinceMs: 60_000 } as const;
    const round = [LINK_LOST, ended("refused", unknown)];
    const { attempt, asked, pauses } = await lead(Array.from({ length: 10 }, () => round).flat());
    expect(attempt).toMatchObject({ kind: "failed", failure: { code: "call_lost" } });
    expect(asked.filter((verb) => verb === VERB.open)).toHaveLength(6);
    expect(pauses).toEqual([100, 200, 400, 800, 1_600]);
  });

  test("moves to another box when its own does not come back, where its method is safe", async () => {
    const more = {
      boxes: [
        { box: "a", links: 1 },
        { box: "b", links: 1 },
      ],
      terms: GET,
    };
    const moved = await lead([LINK_LOST, AWAY, answered], undefined, more);
    expect(moved.attempt.kind).toBe("response");
    expect(moved.asked).toEqual([VERB.open, VERB.attach, VERB.open]);
    expect(moved.waits).toEqual([`${LINK_RETURN_MS}`]);
    const stays = [
      [POST, "call_lost"],
      [{ ...GET, isKeyed: true }, "no_origin"],
    ] as const;
    for (const [terms, code] of stays) {
      const lost = await lead([LINK_LOST, AWAY], undefined, { ...more, terms });
      expect(lost.attempt).toMatchObject({ kind: "failed", failure: { code } });
      expect(lost.waits).toEqual([`${DETACHED_MS}`]);
    }
  });

  test("has no origin where nothing was sent", async () => {
    expect(await failureOf([AWAY])).toMatchObject({ code: "no_origin" });
  });
});

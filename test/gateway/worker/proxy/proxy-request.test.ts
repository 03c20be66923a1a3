/** How the Worker leads a call whose link breaks, with an object that says what it is told to. */
import { describe, expect, test } from "vitest";
import type { Env } from "../../../../gateway/contracts/env.ts";
import { linkName } from "../../../../gateway/contracts/stubs.ts";
import { type Call, exchange } from "../../../../gateway/worker/proxy/proxy-request.ts";
import { Desk, type Outcome } from "../../../../gateway/contracts/local-queue.ts";
import { ENDING, FAILURE, HEAD, VERB } from "../../../../gateway/contracts/link.ts";
import type { Failure } from "../../../../routing/wire/messages.ts";

const LINK_LOST = ended("link_lost", { code: "call_lost", detail: "" });
const AWAY = ended("no_link", { code: "no_origin", detail: "the box is not connected" });

function ended(ending: string, failure: Failure) {
  return () =>
    new Response(null, { headers: { [ENDING]: ending, [FAILURE]: JSON.stringify(failure) } });
}

const answered = () =>
  new Response("done", { headers: { [HEAD]: JSON.stringify({ status: 200, headers: [] }) } });

/** Leads a call; the object's answers are those, in turn. */
async function lead(
  answers: readonly (() => Response)[],
  request = new Request("http://a/"),
  more: Partial<Call> = {},
) {
  const asked: string[] = [];
  const left = [...answers];
  const stub = {
    fetch: (verb: string) => {
      asked.push(verb);
      const next = left.shift();
      if (next === undefined) throw new Error("asked too often");
      return next();
    },
  };
  const env = { ORIGIN: { idFromName: (name: string) => name, get: () => stub } };
  const call = {
    id: "call",
    workspace: "w",
    boxes: [{ box: "b", links: 1 }],
    head: "{}",
    request,
    ...more,
  };
  const answer = await exchange(env as unknown as Env, call, 1_000);
  return { answer, asked };
}

const failureOf = async (...given: Parameters<typeof lead>) => {
  const { answer } = await lead(...given);
  return answer.kind === "failed" ? answer.failure : answer;
};

describe("a call that is handed over by memory", () => {
  /** Leads a call; the object, which is in this isolate, does this with it. */
  async function handOver(outcome: Outcome, ...answers: (() => Response)[]) {
    const desk = new Desk(linkName("w", "b", 0));
    desk.offer();
    const taken = desk.next().then(([call]) => (call?.begin() ?? false) && call?.settle(outcome));
    const led = await lead(answers, undefined, { handedOver: true });
    expect(await taken).toBe(true);
    desk.close();
    return led;
  }

  test("is answered without a request to its object", async () => {
    const head = JSON.stringify({ status: 200, headers: [] });
    const { answer, asked } = await handOver({ kind: "answered", head, body: new Uint8Array(3) });
    expect(answer).toMatchObject({ kind: "whole", head: { status: 200 } });
    expect(asked).toEqual([]);
  });

  test("is claimed by a request when it goes on", async () => {
    const { answer, asked } = await handOver({ kind: "runs" }, answered);
    expect(answer.kind).toBe("answered");
    expect(asked).toEqual([VERB.claim]);
  });

  test("is opened by a request when it was not begun", async () => {
    const { asked } = await handOver({ kind: "not_begun" }, answered);
    expect(asked).toEqual([VERB.open]);
  });

  test("is attached to when the link broke", async () => {
    const lost = { kind: "ended", ending: "link_lost", failure: "{}" } as const;
    const { asked } = await handOver(lost, answered);
    expect(asked).toEqual([VERB.attach]);
  });

  test.each([
    { kind: "answered", head: "{", body: new Uint8Array(0) },
    { kind: "ended", ending: "reset", failure: "{" },
  ] as const)(
    "is an error of its origin where that says what makes no sense: $kind",
    async (said) => {
      const { answer } = await handOver(said);
      expect(answer).toMatchObject({ kind: "failed", failure: { code: "origin_error" } });
    },
  );
});

describe("a call whose link breaks", () => {
  test("is attached to again, and answered", async () => {
    const { answer, asked } = await lead([LINK_LOST, answered]);
    expect(answer).toMatchObject({ kind: "answered", head: { status: 200 } });
    expect(asked).toEqual([VERB.open, VERB.attach]);
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
    const failure = await failureOf([LINK_LOST, AWAY], undefined, { keyed: true });
    expect(failure).toMatchObject({ code: "no_origin" });
  });

  test("is sent again where the agent vouches that it never saw it", async () => {
    const unknown = { code: "call_lost", detail: "", welcomedForMs: 60_000 } as const;
    const { answer, asked } = await lead([LINK_LOST, ended("refused", unknown), answered]);
    expect(answer.kind).toBe("answered");
    expect(asked).toEqual([VERB.open, VERB.attach, VERB.open]);
  });

  test("has no origin where nothing was sent", async () => {
    expect(await failureOf([AWAY])).toMatchObject({ code: "no_origin" });
  });
});

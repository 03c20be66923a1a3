import { afterEach, describe, expect, test, vi } from "vitest";

import { type Fetch, lookUpRecords } from "../../../../gateway/objects/workspace/dns-over-https.ts";
import { dnsQuestion } from "../../../../routing/dns-message.ts";

const NAME = "_postern-challenge.example.com";
const RESOLVER = "https://dns.example/dns-query";

/** An answer with no record, built of the question alone. */
function emptyAnswer(rcode = 0): Uint8Array<ArrayBuffer> {
  const bytes = dnsQuestion(NAME, "TXT");
  bytes[2] = 0x81;
  bytes[3] = 0x80 | rcode;
  return bytes;
}

function dns(body: BodyInit, init: ResponseInit = {}): Response {
  return new Response(body, { headers: { "content-type": "application/dns-message" }, ...init });
}

afterEach(() => {
  vi.useRealTimers();
});

async function lookUp(...answers: (() => Promise<Response> | Response)[]) {
  const asked: { url: string; init: RequestInit }[] = [];
  const fetch: Fetch = async (url, init) => {
    asked.push({ url, init });
    const answer = answers[Math.min(asked.length, answers.length) - 1];
    return await (answer as () => Promise<Response>)();
  };
  return { found: await lookUpRecords(fetch, RESOLVER, { name: NAME, type: "TXT" }), asked };
}

describe("a question over HTTPS", () => {
  test("is one POST of a DNS message, and follows no redirect", async () => {
    const { found, asked } = await lookUp(() => dns(emptyAnswer(3)));
    expect(found).toEqual({ values: [] });
    expect(asked).toHaveLength(1);
    expect(asked[0]).toMatchObject({
      url: RESOLVER,
      init: {
        method: "POST",
        redirect: "manual",
        headers: { accept: "application/dns-message", "content-type": "application/dns-message" },
        body: dnsQuestion(NAME, "TXT"),
      },
    });
  });

  test("is asked once more where it was not answered, and no more", async () => {
    const failing = () => Promise.reject(new Error("no route"));
    const { found, asked } = await lookUp(failing, () => dns(emptyAnswer()));
    expect(found).toEqual({ values: [] });
    expect(asked).toHaveLength(2);
    const down = await lookUp(failing);
    expect(down.found).toEqual({ unanswered: "could not be reached" });
    expect(down.asked).toHaveLength(2);
  });

  test("takes an answer within 5 s, and gives each of its two tries up then", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    const after = async (ms: number) => {
      const { promise, resolve } = Promise.withResolvers<void>();
      setTimeout(() => resolve(), ms);
      await promise;
      return dns(emptyAnswer());
    };
    const inTime = lookUp(() => after(4_999));
    await vi.advanceTimersByTimeAsync(4_999);
    expect((await inTime).found).toEqual({ values: [] });

    const late = lookUp(() => after(5_001));
    let isOver = false;
    void late.then(() => (isOver = true));
    await vi.advanceTimersByTimeAsync(9_999);
    expect(isOver).toBe(false);
    await vi.advanceTimersByTimeAsync(1);
    const { found, asked } = await late;
    expect(found).toEqual({ unanswered: "did not answer within 5 s" });
    expect(asked.map(({ init }) => init.signal?.aborted)).toEqual([true, true]);
  });

  test("takes an answer of 65,535 bytes, and none that is larger", async () => {
    const padded = (bytes: number) => {
      const answer = new Uint8Array(bytes);
      answer.set(emptyAnswer());
      return answer;
    };
    for (const bytes of [65_534, 65_535]) {
      expect((await lookUp(() => dns(padded(bytes)))).found).toEqual({ values: [] });
    }
    const { found } = await lookUp(() => dns(padded(65_536)));
    expect(found).toEqual({ unanswered: "answered with more than a DNS message" });
  });

  test.each<[string, () => Response, RegExp]>([
    ["SERVFAIL", () => dns(emptyAnswer(2)), /could not find out \(DNS code 2\)/],
    ["a redirect", () => new Response(null, { status: 302 }), /status 302/],
    ["a page of HTML", () => new Response("<p>sign in"), /status 200 and no DNS message/],
    ["status 500", () => dns(emptyAnswer(), { status: 500 }), /status 500/],
    ["no DNS message", () => dns("hello"), /no right DNS message/],
    ["a body without end", () => dns(endless()), /more than a DNS message/],
  ])("that is answered with %s is not answered", async (_what, answer, why) => {
    const { found } = await lookUp(answer);
    expect("unanswered" in found && found.unanswered).toMatch(why);
  });
});

function endless(): ReadableStream<Uint8Array> {
  return new ReadableStream({ pull: (controller) => controller.enqueue(new Uint8Array(16_384)) });
}

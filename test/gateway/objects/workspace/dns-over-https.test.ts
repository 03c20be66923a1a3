import { describe, expect, test } from "vitest";

import { type Fetch, lookUpTxt } from "../../../../gateway/objects/workspace/dns-over-https.ts";
import { txtQuestion } from "../../../../routing/dns-message.ts";

const NAME = "_postern-challenge.example.com";
const RESOLVER = "https://dns.example/dns-query";

/** An answer with no record, built of the question alone. */
function emptyAnswer(rcode = 0): Uint8Array<ArrayBuffer> {
  const bytes = txtQuestion(NAME);
  bytes[2] = 0x81;
  bytes[3] = 0x80 | rcode;
  return bytes;
}

function dns(body: BodyInit, init: ResponseInit = {}): Response {
  return new Response(body, { headers: { "content-type": "application/dns-message" }, ...init });
}

async function lookUp(...answers: (() => Promise<Response> | Response)[]) {
  const asked: { url: string; init: RequestInit }[] = [];
  const fetch: Fetch = async (url, init) => {
    asked.push({ url, init });
    const answer = answers[Math.min(asked.length, answers.length) - 1];
    return await (answer as () => Promise<Response>)();
  };
  return { found: await lookUpTxt(fetch, RESOLVER, NAME), asked };
}

describe("a question over HTTPS", () => {
  test("is one POST of a DNS message, and follows no redirect", async () => {
    const { found, asked } = await lookUp(() => dns(emptyAnswer(3)));
    expect(found).toEqual({ texts: [] });
    expect(asked).toHaveLength(1);
    expect(asked[0]).toMatchObject({
      url: RESOLVER,
      init: {
        method: "POST",
        redirect: "manual",
        headers: { accept: "application/dns-message", "content-type": "application/dns-message" },
        body: txtQuestion(NAME),
      },
    });
  });

  test("is asked once more where it was not answered, and no more", async () => {
    const failing = () => Promise.reject(new Error("no route"));
    const { found, asked } = await lookUp(failing, () => dns(emptyAnswer()));
    expect(found).toEqual({ texts: [] });
    expect(asked).toHaveLength(2);
    const down = await lookUp(failing);
    expect(down.found).toEqual({ unanswered: "could not be reached" });
    expect(down.asked).toHaveLength(2);
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

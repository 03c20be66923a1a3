/** Which answers the object hands on ready-made, and what is in them. */
import { expect, test } from "vitest";

import { plainAnswer } from "../../gateway/own-headers.ts";
import type { ResponseHead } from "../../routing/wire/messages.ts";

const BODY = new TextEncoder().encode("hello");
const OWN = JSON.stringify({ requestId: "mine", callId: "the-call", routeMs: 3, authMs: 5 });

const made = (head: Partial<ResponseHead>, body = BODY) =>
  plainAnswer(JSON.stringify({ status: 200, headers: [], ...head }), body, OWN);

test("a plain answer has the app's headers and the gateway's own", async () => {
  const headers = ["content-type", "text/plain", "set-cookie", "a=1", "set-cookie", "b=2"];
  const answer = made({ headers, timing: { queue: 1, start: 2, app: 4 } });
  expect([...(answer?.headers ?? [])]).toEqual([
    ["content-type", "text/plain"],
    ["postern-call-id", "the-call"],
    ["server-timing", "route;dur=3, auth;dur=5, queue;dur=1, start;dur=2, app;dur=4"],
    ["set-cookie", "a=1"],
    ["set-cookie", "b=2"],
    ["x-request-id", "mine"],
  ]);
  expect(await answer?.text()).toBe("hello");
});

test.each([
  ["a redirect", { status: 302, headers: ["location", "/elsewhere"] }],
  ["another status", { status: 201 }],
  ["an answer with a coding", { headers: ["content-encoding", "gzip"] }],
  ["what looks like a word of the object", { headers: ["postern-kept", "{}"] }],
  ["a header that is none", { headers: ["no name", "value"] }],
] as const)("%s is left to the Worker", (_what, head) => {
  expect(made({ ...head, headers: [...("headers" in head ? head.headers : [])] })).toBeUndefined();
});

test("an answer without a body is left to the Worker", () => {
  expect(made({}, new Uint8Array(0))).toBeUndefined();
});

test("a head that makes no sense is left to the Worker", () => {
  expect(plainAnswer("{", BODY, OWN)).toBeUndefined();
});

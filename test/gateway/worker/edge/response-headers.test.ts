/** What the gateway adds to the answers of apps. */
import { expect, test } from "vitest";
import { addAppHeaders, addOwnHeaders } from "../../../../gateway/worker/edge/response-headers.ts";

const OWN = { requestId: "mine", callId: "the-call", routeMs: 3, authMs: 5 };

test("an answer tells its request, its call, and where the time went", () => {
  const headers = new Headers({ "content-type": "text/plain" });
  addOwnHeaders(headers, OWN, { queue: 1, start: 2, app: 4 });
  expect([...headers]).toEqual([
    ["content-type", "text/plain"],
    ["postern-call-id", "the-call"],
    ["server-timing", "route;dur=3, auth;dur=5, queue;dur=1, start;dur=2, app;dur=4"],
    ["x-request-id", "mine"],
  ]);
});

test("the app's own Server-Timing stays, and the gateway's comes after it", () => {
  const headers = new Headers({ "server-timing": "db;dur=7" });
  addOwnHeaders(headers, OWN, undefined);
  expect(headers.get("server-timing")).toBe("db;dur=7, route;dur=3, auth;dur=5");
});

test("an app sets its own cookies, and not the gateway's", () => {
  const headers = new Headers();
  const lines = ["set-cookie", "postern_affinity=forged; Path=/", "set-cookie", "a=b"];
  addAppHeaders(headers, lines, new Request("http://a.localhost/"));
  expect(headers.getSetCookie()).toEqual(["a=b"]);
});

/** Headers that an agent says and no client may get: those of the next hop, of other tenants, and the gateway's own. */
import { expect, test } from "vitest";
import {
  announcement,
  ask,
  connectAgent,
  dialBack,
  enrolledBox,
  HANDSHAKE,
} from "../fake-agent.ts";

const FORBIDDEN = [
  ["alt-svc", 'h3="evil.example:443"'],
  ["connection", "x-a"],
  ["keep-alive", "timeout=5"],
  ["proxy-authenticate", "Basic"],
  ["trailer", "x-a"],
  ["upgrade", "h2c"],
  ["sec-websocket-extensions", "permessage-deflate"],
  ["postern-anything", "forged"],
  ["postern-call-id", "forged"],
  ["x-request-id", "forged"],
] as const;
const COOKIES = ["set-cookie", "a=1; Domain=localhost; Path=/", "set-cookie", "b=2; Secure"];

function expectClean({ headers }: Response): void {
  const forged = FORBIDDEN.filter(([name, value]) => headers.get(name) === value);
  expect(forged).toEqual([]);
  expect(headers.get("alt-svc")).toBeNull();
  expect(headers.get("x-kept")).toBe("1");
  expect(headers.getSetCookie()).toEqual(["a=1; Path=/", "b=2; Secure"]);
}

const evilHead = (status: number): string =>
  JSON.stringify({ status, headers: [...FORBIDDEN.flat(), ...COOKIES, "x-kept", "1"] });

test("a response has none of them, and its cookies are its own host's", async () => {
  await connectAgent("evil-headers", {
    endpoints: [announcement("evil-headers", "f")],
    open: (stream) => {
      stream.sendHead(evilHead(200), [new TextEncoder().encode("hello")], true);
      return {};
    },
  });
  const response = await ask("local--evil-headers-f");
  expect(await response.text()).toBe("hello");
  expectClean(response);
});

test("nor has the 101 of a WebSocket", async () => {
  const identity = await enrolledBox("evil-switch");
  await connectAgent("evil-switch", {
    endpoints: [announcement("evil-switch", "f")],
    open: (stream, { websocket = "" }) => {
      stream.sendHead(evilHead(101), [], false);
      void dialBack(identity, websocket);
      return {};
    },
  });
  const response = await ask("local--evil-switch-f", "/", { headers: HANDSHAKE });
  expect(response.status).toBe(101);
  expectClean(response);
  response.webSocket?.accept();
  response.webSocket?.close(1000);
});

test("nor has a stored response at its result URL", async () => {
  await connectAgent("evil-result", {
    endpoints: [announcement("evil-result", "f")],
    open: (stream, { callId }) => {
      stream.confirmDeferred({ callId, status: "pending", position: 0, elapsedMs: 0 });
      return {};
    },
    attach: (stream) => {
      stream.sendHead(evilHead(200), [new TextEncoder().encode("hello")], true);
      return {};
    },
  });
  const headers = { prefer: "respond-async" };
  const accepted = await ask("local--evil-result-f", "/", { headers, redirect: "manual" });
  const response = await ask("local--evil-result-f", accepted.headers.get("location") ?? "");
  expect(await response.text()).toBe("hello");
  expectClean(response);
});

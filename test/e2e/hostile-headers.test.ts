/** Header lines that a client must not be able to say, to hide, or to smuggle. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { type RawOrigin, startRawOrigin } from "../support/apps/raw-origin.ts";
import { type Gateway, startUp, upstream } from "../support/harness.ts";
import { exchange, headerValues } from "../support/raw-http.ts";

let origin: RawOrigin;
let postern: Gateway;
let host: string;
beforeAll(async () => {
  origin = await startRawOrigin();
  postern = await startUp([upstream(origin.port)]);
  host = postern.address().host;
});
afterAll(async () => {
  await postern.stop();
  await origin.close();
});

/** The header lines, as `name: value` with lower-case names, that the app gets for these of the client. */
async function linesAtApp(...lines: readonly string[]): Promise<string[]> {
  const head = ["GET /head HTTP/1.1", `Host: ${host}`, ...lines, "", ""].join("\r\n");
  const response = await exchange(postern.port, head);
  expect(response.status).toBe(200);
  return Buffer.from(response.body.toString(), "base64")
    .toString("latin1")
    .split("\r\n")
    .slice(1)
    .map((line) => line.replace(/^[^:]+/, (name) => name.toLowerCase()));
}

const named = (lines: readonly string[], name: string) =>
  lines.filter((line) => line.startsWith(`${name}:`));

async function statusFor(...lines: readonly string[]): Promise<number> {
  const before = origin.heads.length;
  const head = ["GET /head HTTP/1.1", `Host: ${host}`, ...lines, "", ""].join("\r\n");
  const { status } = await exchange(postern.port, head);
  if (status !== 200) expect(origin.heads.length).toBe(before);
  return status;
}

describe("request headers", () => {
  test("what Connection names does not pass, nor do hop-by-hop headers", async () => {
    const lines = await linesAtApp(
      "Connection: X-Auth, keep-alive",
      "X-Auth: secret",
      "Keep-Alive: timeout=5",
      "Proxy-Connection: keep-alive",
      "X-Kept: yes",
    );
    expect(named(lines, "x-auth")).toEqual([]);
    expect(named(lines, "keep-alive")).toEqual([]);
    expect(named(lines, "proxy-connection")).toEqual([]);
    expect(named(lines, "x-kept")).toEqual(["x-kept: yes"]);
  });

  test.each([
    "Proxy-Authorization: Basic eDp5",
    "Forwarded: for=1.2.3.4",
    "X-Real-IP: 1.2.3.4",
    "X-Forwarded-Host: evil.example",
    "X-Forwarded-Port: 1",
    "X-Forwarded-Prefix: /evil",
    "X-Verified-User-Data: admin",
    "CF-Connecting-IP: 1.2.3.4",
    "True-Client-IP: 1.2.3.4",
    "Modal-Key: wk-1",
    "Modal-Secret: ws-1",
    "Postern-Key: wk-1",
    "Postern-Secret: ws-1",
    "Authorization: Bearer wk-abc.ws-def",
    // An API token that was sent to an endpoint by mistake.
    "Authorization: Bearer ak-local-abc.as-def",
  ])("%s does not reach the app", async (line) => {
    const name = line.slice(0, line.indexOf(":")).toLowerCase();
    expect(named(await linesAtApp(line), name)).toEqual([]);
  });

  test("forged facts about the caller are replaced by the gateway's own", async () => {
    const lines = await linesAtApp(
      "X-Forwarded-For: 1.2.3.4",
      "X-Forwarded-Proto: https",
      "Postern-Call-Id: forged",
    );
    expect(named(lines, "x-forwarded-for")).toEqual(["x-forwarded-for: 127.0.0.1"]);
    expect(named(lines, "x-forwarded-proto")).toEqual(["x-forwarded-proto: http"]);
    expect(named(lines, "postern-call-id").join()).not.toContain("forged");
  });

  test("an Authorization value that is the app's own passes", async () => {
    const lines = await linesAtApp("Authorization: Bearer sk-of-the-app");
    expect(named(lines, "authorization")).toEqual(["authorization: Bearer sk-of-the-app"]);
  });

  test("a POST that asks for a WebSocket reaches the app as a POST, with its body", async () => {
    const lines = [
      "POST /head HTTP/1.1",
      `Host: ${host}`,
      "Connection: Upgrade",
      "Upgrade: websocket",
      "Sec-WebSocket-Version: 13",
      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
      "Content-Length: 4",
    ];
    const { status } = await exchange(postern.port, `${lines.join("\r\n")}\r\n\r\ntext`);
    expect(status).toBe(200);
    expect(origin.heads.at(-1)).toMatch(/^POST \/head /);
    expect(origin.bodies.at(-1)).toBe("text");
    expect(origin.heads.at(-1)).not.toMatch(/^upgrade:/im);
  });

  test("a name with an underscore cannot pose as its twin with a dash", async () => {
    const lines = await linesAtApp("X_Auth: forged", "X-Auth: real");
    expect(named(lines, "x_auth")).toEqual([]);
    expect(named(lines, "x-auth")).toEqual(["x-auth: real"]);
  });

  test("two Cookie lines are joined as one cookie string", async () => {
    const lines = await linesAtApp("Cookie: a=1; b=2", "Cookie: c=3,4");
    expect(named(lines, "cookie")).toEqual(["cookie: a=1; b=2; c=3,4"]);
  });

  test("one header of 200 kB is too large", async () => {
    expect(await statusFor(`X-Large: ${"x".repeat(200_000)}`)).toBe(431);
  });

  test("1,000 header lines are too many", async () => {
    expect(await statusFor(...Array.from({ length: 1000 }, (_, n) => `X-${n}: ${n}`))).toBe(431);
  });

  test("60 kB of headers pass", async () => {
    const value = "x".repeat(60_000);
    expect(named(await linesAtApp(`X-Large: ${value}`), "x-large")).toEqual([`x-large: ${value}`]);
  });

  test("a value that is not UTF-8 is a bad request", async () => {
    expect(await statusFor("X-Latin: gr\xfc\xdfe")).toBe(400);
  });

  test("a value in UTF-8 reaches the app as these bytes", async () => {
    const value = Buffer.from("grüße ☃", "utf8").toString("latin1");
    expect(named(await linesAtApp(`X-Utf: ${value}`), "x-utf")).toEqual([`x-utf: ${value}`]);
  });

  test("several lines of one name keep all their values", async () => {
    const lines = await linesAtApp("X-Many: a", "X-Many: b");
    expect(named(lines, "x-many").join().replaceAll("x-many: ", "").split(/, ?/)).toEqual([
      "a",
      "b",
    ]);
  });
});

describe("response headers", () => {
  const answerWith = (...lines: readonly string[]) =>
    origin.answer(
      "/headers",
      ["HTTP/1.1 200 OK", ...lines, "Content-Length: 2", "", "ok"].join("\r\n"),
    );
  const headers = async () =>
    await exchange(postern.port, `GET /headers HTTP/1.1\r\nHost: ${host}\r\n\r\n`);

  test("what the app's Connection names does not pass", async () => {
    answerWith("Connection: X-Secret", "X-Secret: 1", "Proxy-Authenticate: Basic", "X-Kept: 1");
    const response = await headers();
    expect(headerValues(response, "x-secret")).toEqual([]);
    expect(headerValues(response, "proxy-authenticate")).toEqual([]);
    expect(headerValues(response, "x-kept")).toEqual(["1"]);
  });

  test("several Set-Cookie lines stay several, other repeated names are joined", async () => {
    answerWith(
      "Set-Cookie: a=1, b",
      "Set-Cookie: c=2",
      "Set-Cookie: d=3",
      "Link: <a>",
      "Link: <b>",
    );
    const response = await headers();
    expect(headerValues(response, "set-cookie")).toEqual(["a=1, b", "c=2", "d=3"]);
    expect(headerValues(response, "link").join(", ")).toBe("<a>, <b>");
  });

  test("the gateway's own headers cannot be forged by the app", async () => {
    answerWith("Postern-Call-Id: forged", "X-Request-Id: forged");
    const response = await headers();
    expect(headerValues(response, "postern-call-id").join()).not.toContain("forged");
    expect(headerValues(response, "x-request-id")).not.toContain("forged");
  });

  test("every answer names its call and its request", async () => {
    answerWith();
    const response = await headers();
    expect(headerValues(response, "postern-call-id")).toHaveLength(1);
    expect(headerValues(response, "x-request-id")).toHaveLength(1);
  });

  test("60 kB of response headers pass", async () => {
    answerWith(`X-Large: ${"x".repeat(60_000)}`);
    expect(headerValues(await headers(), "x-large")[0]).toHaveLength(60_000);
  });
});

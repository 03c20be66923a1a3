/** Hosts and targets that a stranger made up: one parsed host and path, which routing and app see alike. */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { type RawOrigin, startRawOrigin } from "../support/apps/raw-origin.ts";
import { type Gateway, startUp, upstream } from "../support/harness.ts";
import {
  ConnectionClosed,
  RawConnection,
  type RawResponse,
  exchange,
  headerValues,
} from "../support/raw-http.ts";

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

/** The answer, or "closed" where the server ended the connection without one. */
async function answerTo(bytes: string, method = "GET"): Promise<RawResponse | "closed"> {
  try {
    return await exchange(postern.port, bytes, method);
  } catch (error) {
    if (error instanceof ConnectionClosed) return "closed";
    throw error;
  }
}

/** Sends a request that must not reach the app, and returns its status. */
async function refusal(bytes: string): Promise<number | "closed"> {
  const before = origin.heads.length;
  const answer = await answerTo(bytes);
  // A request that an earlier test broke off may arrive late.
  const reached = origin.heads.slice(before).filter((head) => !head.includes(" /patient "));
  expect(reached, "nothing reaches the app").toEqual([]);
  return answer === "closed" ? answer : answer.status;
}

/** The head that the app received for this request. */
async function headAtApp(bytes: string): Promise<string> {
  const before = origin.heads.length;
  await exchange(postern.port, bytes);
  expect(origin.heads.length).toBe(before + 1);
  return origin.heads.at(-1) ?? "";
}

const get = (target: string, hostLine: string) =>
  `GET ${target} HTTP/1.1\r\nHost: ${hostLine}\r\n\r\n`;

describe("Host", () => {
  test("two Host headers are a bad request", async () => {
    expect(await refusal(`GET /head HTTP/1.1\r\nHost: ${host}\r\nHost: b\r\n\r\n`)).toBe(400);
    expect(await refusal(`GET /head HTTP/1.1\r\nHost: b\r\nHost: ${host}\r\n\r\n`)).toBe(400);
  });

  test("no Host header is a bad request", async () => {
    expect(await refusal("GET /head HTTP/1.1\r\n\r\n")).toBe(400);
  });

  test.each([
    ["user information", (own: string) => `a@${own}`],
    ["a path", (own: string) => `${own}/x?y`],
    ["a port that is no number", (own: string) => `${own}x`],
    ["a list", (own: string) => `${own}, b`],
    ["a blank", (own: string) => `a ${own}`],
    ["a percent escape", (own: string) => own.replace("--", "%2d%2d")],
    ["a fragment", (own: string) => `${own}#x`],
    ["a backslash", (own: string) => `a\\${own}`],
  ])("a Host with %s is a bad request", async (_what, spoil) => {
    expect(await refusal(get("/head", spoil(host)))).toBe(400);
  });

  test("upper case and a trailing dot name the same endpoint", async () => {
    const [name = "", port = ""] = host.split(":");
    for (const spelling of [name.toUpperCase(), `${name}.`, `${name.toUpperCase()}.`]) {
      const head = await headAtApp(get("/head", `${spelling}:${port}`));
      expect(head.toLowerCase()).toContain(`\r\nhost: ${name}`);
    }
  });

  test("upper case and a trailing dot name the base domain too", async () => {
    const [, base = "", port = ""] = /([^.]+):(\d+)$/.exec(host) ?? [];
    for (const spelling of [base, base.toUpperCase(), `${base}.`, `${base.toUpperCase()}.`]) {
      const { status, body } = await exchange(
        postern.port,
        get("/api/v1/health", `${spelling}:${port}`),
      );
      expect([status, body.toString()], spelling).toEqual([200, '{"status":"ok"}']);
    }
  });

  test("an absolute target with another host is served by the Host header's endpoint", async () => {
    const head = await headAtApp(get("http://other.localhost/head", host));
    expect(head).toMatch(/^GET \/head HTTP/);
    expect(head.toLowerCase()).toContain(`\r\nhost: ${host}`);
    expect(head).not.toContain("other.localhost");
  });

  test("a name that nobody holds is 404: a problem for programs, a page for browsers", async () => {
    const unknown = `tests--nobody-here.localhost:${postern.port}`;
    const problem = await exchange(
      postern.port,
      `GET / HTTP/1.1\r\nHost: ${unknown}\r\nAccept: application/json\r\n\r\n`,
    );
    expect(problem.status).toBe(404);
    expect(headerValues(problem, "content-type")[0]).toContain("application/problem+json");
    expect(JSON.parse(problem.body.toString())).toMatchObject({ code: "no_such_endpoint" });
    const page = await exchange(
      postern.port,
      `GET / HTTP/1.1\r\nHost: ${unknown}\r\nAccept: text/html,application/xhtml+xml;q=0.9\r\n\r\n`,
    );
    expect(page.status).toBe(404);
    expect(headerValues(page, "content-type")[0]).toContain("text/html");
  });

  test("a name that no endpoint can have is 404 and leaves no trace in the state directory", async () => {
    const objects = () =>
      readdirSync(join(postern.stateDirectory, "objects"), { recursive: true }).length;
    const before = objects();
    for (const name of [
      "x".repeat(64),
      "-a--b",
      "a--b-",
      "under_score--x",
      "nodashes",
      "a..b",
      "a--b.c--d",
    ]) {
      expect(await refusal(get("/head", `${name}.localhost:${postern.port}`)), name).toSatisfy(
        (status) => status === 404 || status === 400,
      );
    }
    expect(objects()).toBe(before);
  });

  test("a host outside the base domain is not served", async () => {
    expect(await refusal(get("/head", "example.com"))).toSatisfy(
      (status) => status === 404 || status === 421,
    );
    expect(await refusal(get("/head", "[::1]:80"))).toSatisfy(
      (status) => status === 400 || status === 421,
    );
  });
});

describe("target", () => {
  test.each([
    "/a/../../etc/%2e%2e/x%2fy",
    "//evil.example/x",
    "/a/./b//c/",
    "/?",
    "/?a=/../b&c=%zz",
    "/%E2%98%83;v=1,2",
    '/[x]|{y}^"\\',
    "/?q=[x]|{y}^`",
    "/%00%0d%0a",
  ])("%s reaches the app as it was sent", async (target) => {
    const head = await headAtApp(get(target, host));
    expect(head.split("\r\n")[0]).toBe(`GET ${target} HTTP/1.1`);
  });

  test.each(["/a<b", "/a>b", "/\xe9", "/a\x7f"])(
    "%j is no target: a bad request",
    async (target) => {
      expect(await refusal(get(target, host))).toBe(400);
    },
  );

  test("OPTIONS * is a bad request", async () => {
    expect(await refusal(`OPTIONS * HTTP/1.1\r\nHost: ${host}\r\n\r\n`)).toBe(400);
  });

  test("CONNECT is refused and nothing reaches the app", async () => {
    for (const target of [host, "example.com:443"]) {
      const bytes = `CONNECT ${target} HTTP/1.1\r\nHost: ${host}\r\n\r\n`;
      // workerd's own refusal; behind the front it is a 501 with a code (test/cli/gateway.test.ts).
      expect(await refusal(bytes)).toBe(500);
      const connection = await RawConnection.connect(postern.port);
      connection.send(bytes);
      await connection.ending();
      connection.reset();
    }
  });
});

describe("framing", () => {
  const post = (headers: string, body: string, version = "1.1") =>
    `POST /head HTTP/${version}\r\nHost: ${host}\r\n${headers}\r\n\r\n${body}`;

  test("a transfer coding other than chunked never reaches the app", async () => {
    for (const coding of ["gzip, chunked", "gzip", "chunked, gzip", "identity"]) {
      const status = await refusal(post(`Transfer-Encoding: ${coding}`, "4\r\nbody\r\n0\r\n\r\n"));
      expect(status, coding).toSatisfy((seen) => seen === 501 || seen === 400);
    }
  });

  test("two different Content-Lengths are a bad request", async () => {
    expect(await refusal(post("Content-Length: 4\r\nContent-Length: 5", "body!"))).toBe(400);
  });

  test("a body framed twice is read by its chunks or refused, and smuggles nothing", async () => {
    const before = origin.heads.length;
    const connection = await RawConnection.connect(postern.port);
    connection.send(
      post(
        "Content-Length: 4\r\nTransfer-Encoding: chunked",
        `0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: ${host}\r\n\r\n`,
      ),
    );
    const first = await connection.response();
    if (first.status !== 400) expect(first.status).toBe(200);
    connection.finish();
    await connection.ending();
    connection.reset();
    expect(origin.bodies.slice(before).join("")).not.toContain("smuggled");
    expect(origin.heads.slice(before).join("\n")).not.toContain("smuggled");
  });

  test("a transfer coding of HTTP/1.0 is a bad request", async () => {
    const text = post("Transfer-Encoding: chunked", "4\r\nbody\r\n0\r\n\r\n");
    const before = origin.bodies.length;
    expect(await refusal(text.replace("HTTP/1.1", "HTTP/1.0"))).toBe(400);
    expect(origin.bodies.slice(before)).toEqual([]);
  });

  test("lines that end in a bare LF are written anew: the app sees CRLF alone", async () => {
    const head = await headAtApp(get("/bare", host).replaceAll("\r\n", "\n"));
    expect(head.split("\r\n")[0]).toBe("GET /bare HTTP/1.1");
    expect(head.replaceAll("\r\n", "")).not.toContain("\n");
  });

  test.each(["xyz", "-1", "ffffffffffffffffff", ""])(
    "a chunk size of %j is a bad request, ends the connection and is no whole request for the app",
    async (size) => {
      // An app that answers before it has read the body would be believed, and rightly so.
      origin.answer("/patient", () => undefined);
      const before = origin.bodies.length;
      const connection = await RawConnection.connect(postern.port);
      connection.send(
        `POST /patient HTTP/1.1\r\nHost: ${host}\r\nTransfer-Encoding: chunked\r\n\r\n` +
          `4\r\nbody\r\n${size}\r\nmore\r\n0\r\n\r\n`,
      );
      expect((await connection.response()).status).toBe(400);
      await connection.ending();
      connection.reset();
      // The app may have seen the start of the body, but never its clean end.
      expect(origin.bodies.slice(before).join("")).not.toContain("0\r\n\r\n");
    },
  );

  test.each([10, 100_000])(
    "a body of %i bytes whose sender stops early is upload_interrupted, and no whole request for the app",
    async (length) => {
      origin.answer("/patient", () => undefined);
      const before = origin.bodies.length;
      const connection = await RawConnection.connect(postern.port);
      connection.send(
        `POST /patient HTTP/1.1\r\nHost: ${host}\r\nContent-Length: ${length}\r\n\r\nbody`,
      );
      connection.finish();
      const answer = await connection.response();
      expect(JSON.parse(answer.body.toString())).toMatchObject({ code: "upload_interrupted" });
      await connection.ending();
      connection.reset();
      expect(origin.bodies.slice(before).join("").length).toBeLessThan(length);
    },
  );

  test.each([
    ["NUL", "X-A: a\0b"],
    ["bare CR", "X-A: a\rX-B: b"],
    ["an obsolete fold", "X-A: a\r\n b"],
    ["a blank before the colon", "X-A : a"],
    ["no colon", "X-A"],
  ])("%s in the header block is a bad request", async (_what, line) => {
    expect(await refusal(`GET /head HTTP/1.1\r\nHost: ${host}\r\n${line}\r\n\r\n`)).toBe(400);
  });

  test("two pipelined requests are answered in order", async () => {
    origin.answer("/one", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none");
    origin.answer("/two", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\ntwo");
    const connection = await RawConnection.connect(postern.port);
    connection.send(get("/one", host) + get("/two", host));
    expect((await connection.response()).body.toString()).toBe("one");
    expect((await connection.response()).body.toString()).toBe("two");
    connection.reset();
  });
});

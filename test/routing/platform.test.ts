import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { WORKERD_BINARY } from "../support/bare-workerd.ts";
import { ManagedProcess } from "../support/processes.ts";
import { exchange } from "../support/raw-http.ts";
import { temporaryDirectory } from "../support/temporary.ts";

/** Shows what routing makes of a request inside the real workerd, whose raw inputs routing relies on. */
const WORKER = `
import { requestHeaders } from "./headers.ts";
import { parseHost } from "./host.ts";
import { rawTarget } from "./target.ts";

const facts = { host: "h", client: "c", scheme: "http", requestId: "r", traceparent: "t", callId: "i" };

export default {
  fetch(request) {
    const host = parseHost(request.headers.get("host") ?? "", "localhost:8787");
    const headers = requestHeaders(request.headers, facts);
    return Response.json({
      host: host.ok ? host.value.authority : host.error.code,
      target: rawTarget(request.url),
      headers: headers.ok ? headers.value.slice(12) : headers.error.code,
    });
  },
};`;

let workerd: ManagedProcess;
let port: number;

beforeAll(async () => {
  const resolveDir = fileURLToPath(new URL("../../routing", import.meta.url));
  const { outputFiles } = await build({
    stdin: { contents: WORKER, resolveDir },
    bundle: true,
    format: "esm",
    write: false,
  });
  const config = `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [(name = "main", worker = (
    modules = [(name = "worker", esModule = embed "worker.js")],
    compatibilityDate = "2026-11-01",
  ))],
  sockets = [(name = "main", address = "127.0.0.1:0", http = (), service = "main")],
);`;
  const directory = temporaryDirectory();
  writeFileSync(join(directory, "worker.js"), outputFiles[0]?.contents ?? "");
  writeFileSync(join(directory, "config.capnp"), config);
  const file = join(directory, "config.capnp");
  workerd = new ManagedProcess([WORKERD_BINARY, "serve", "--control-fd=1", file]);
  await workerd.waitForOutput(/"event":"listen"/);
  port = Number(/"port":(\d+)/.exec(workerd.stdout)?.[1]);
});

afterAll(async () => {
  await workerd.kill();
});

interface Seen {
  host: string;
  target?: string;
  headers: string[] | string;
}

/** The head that routing saw, or the status with which workerd itself refused. `lines` are Latin-1. */
async function seen(requestLine: string, ...lines: string[]): Promise<Seen | number> {
  const head = [`${requestLine} HTTP/1.1`, ...lines, "", ""].join("\r\n");
  const response = await exchange(port, head);
  return response.status === 200
    ? (JSON.parse(response.body.toString("utf8")) as Seen)
    : response.status;
}

/** The bytes of text in UTF-8, as the Latin-1 that goes over the wire. */
function utf8(text: string): string {
  return Buffer.from(text, "utf8").toString("latin1");
}

const HOST = "Host: a--b.localhost:8787";

describe("in workerd, a target", () => {
  it.each([
    ["/a/../../etc/%2e%2e/x%2fy", "/a/../../etc/%2e%2e/x%2fy"],
    ["//x/y?q", "//x/y?q"],
    ["/?", "/?"],
    ["/a??b=//c", "/a??b=//c"],
    ["/%zz;\\'", "/%zz;\\'"],
    ["/a?b#fragment", "/a?b"],
    [utf8("/é?日本"), "/é?日本"],
    ["http://other.example/x/../y?z", "/x/../y?z"],
    ["http://other.example", "/"],
    ["http://other.example?x=1", "/?x=1"],
  ])("%s arrives as %s, and the Host decides", async (sent, target) => {
    expect(await seen(`GET ${sent}`, HOST)).toEqual({
      host: "a--b.localhost:8787",
      target,
      headers: [],
    });
  });

  it("of OPTIONS * is none", async () => {
    expect(await seen("OPTIONS *", HOST)).toEqual({ host: "a--b.localhost:8787", headers: [] });
  });

  it.each(["*/x", "@evil/x", ".evil/x", ":99/x", "?x", "/\u00ff", "/a\u0001"])(
    "%j is refused by the platform",
    async (sent) => {
      expect(await seen(`GET ${sent}`, HOST)).toBe(400);
    },
  );
});

describe("in workerd, a Host", () => {
  it.each([
    "a, b",
    "a@b",
    "a/x?y",
    "a:80x",
    "a b",
    "a%41",
    "a#b",
    "[::1",
    "a..b",
    utf8("é.localhost"),
  ])("%s is a bad request", async (host) => {
    expect(await seen("GET /p", `Host: ${host}`)).toMatchObject({ host: "bad_request" });
  });

  it("that comes twice is a bad request, and one that is missing is refused by the platform", async () => {
    expect(await seen("GET /", HOST, HOST)).toMatchObject({ host: "bad_request" });
    expect(await seen("GET /")).toBe(400);
  });

  it("in capitals with a dot is the same endpoint", async () => {
    expect(await seen("GET /", "Host: A--B.LOCALHOST.")).toMatchObject({ host: "a--b.localhost" });
  });
});

describe("in workerd, headers", () => {
  it.each([
    [
      ["Cookie: a=1", "cookie: b=2"],
      ["cookie", "a=1; b=2"],
    ],
    [
      ["X-Auth: 1", "X_Auth: 2", "x-auth: 3"],
      ["x-auth", "1, 3"],
    ],
    [["X-Auth: 1", "Connection: x-AUTH"], []],
    [["Authorization: Basic eA==", "Authorization: Bearer wk-1.ws-2"], []],
    [[`X-A: ${utf8("é 日本 🚪")}`], ["x-a", "é 日本 🚪"]],
    [["X-A: caf\u00e9"], "bad_request"],
    [["X-A: a\u0001b"], "bad_request"],
    [["Transfer-Encoding: gzip, chunked"], "not_supported"],
    [[`X-A: ${"a".repeat(200_000)}`], "headers_too_large"],
    [Array.from({ length: 1000 }, (_, index) => `X-${index}: 1`), "headers_too_large"],
  ])("%.60j become %j", async (lines, headers) => {
    expect(await seen("GET /", HOST, ...lines)).toMatchObject({ headers });
  });

  it.each(["X-A: a\u0000b", "X-A: a\rb", "X-A: a\r\n b", "X A: 1", "X-\u00e9: 1"])(
    "%j is refused by the platform",
    async (line) => {
      expect(await seen("GET /", HOST, line)).toBe(400);
    },
  );
});

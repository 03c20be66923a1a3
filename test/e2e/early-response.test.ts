/**
 * Responses that come before an upload has ended, with clients that people use: an app refuses an upload that it has not
 * read, and the gateway refuses one for an app that it does not know.
 */
import { execFile } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { ARE_ALL_REQUESTS } from "../support/e2e-way.ts";
import { APPS, type Gateway, startGateway, startUp } from "../support/harness.ts";
import { type Address, send } from "../support/http-client.ts";
import { RawConnection } from "../support/raw-http.ts";
import { temporaryDirectory } from "../support/temporary.ts";
import { ensureVenv } from "../support/venv.ts";

/** Far more than a stream's window and the sockets on the way hold. */
const UPLOAD_BYTES = 16 * 1024 * 1024;
const TIMES = 20;
const WITHIN = { timeout: 120_000 };
const run = promisify(execFile);

interface Response {
  readonly status: number;
  readonly body: string;
}

/** Sends the upload, and tells the response or throws. */
type Upload = (address: Address, path: string) => Promise<Response>;
/** Sends it `TIMES`, one after the other, and tells what came of each. */
type Uploads = (address: Address, path: string) => Promise<unknown[]>;

const file = join(temporaryDirectory(), "upload");
let python: string;
beforeAll(async () => {
  writeFileSync(file, Buffer.alloc(UPLOAD_BYTES, "upload"));
  python = await ensureVenv();
}, WITHIN.timeout);

const curl =
  (...headers: readonly string[]): Upload =>
  async ({ port, host }, path) => {
    const flags = "--silent --show-error --max-time 20 --noproxy * --request POST".split(" ");
    for (const header of [`Host: ${host}`, ...headers]) flags.push("--header", header);
    flags.push("--data-binary", `@${file}`, "--write-out", "\n%{http_code}");
    const { stdout } = await run("curl", [...flags, `http://127.0.0.1:${port}${path}`], WITHIN);
    const end = stdout.lastIndexOf("\n");
    return { status: Number(stdout.slice(end)), body: stdout.slice(0, end) };
  };

const HTTPX = `
import json, sys, httpx
url, host, file, times = sys.argv[1:]
came = []
with open(file, "rb") as body:
    upload = body.read()
for _ in range(int(times)):
    try:
        response = httpx.post(url, headers={"host": host}, content=upload, timeout=20, trust_env=False)
        came.append({"status": response.status_code, "body": response.text})
    except httpx.HTTPError as error:
        came.append(repr(error))
print(json.dumps(came))
`;

/** Each upload has a connection of its own. */
const httpx: Uploads = async ({ port, host }, path) => {
  const args = ["-c", HTTPX, `http://127.0.0.1:${port}${path}`, host, file, String(TIMES)];
  const { stdout } = await run(python, args, WITHIN);
  return JSON.parse(stdout) as unknown[];
};

/** Reads nothing before it has sent everything. */
const socket: Upload = async ({ port, host }, path) => {
  const connection = await RawConnection.connect(port);
  try {
    connection.send(
      `POST ${path} HTTP/1.1\r\nHost: ${host}\r\nContent-Length: ${UPLOAD_BYTES}\r\n\r\n`,
    );
    await new Promise<void>((resolve, reject) => {
      connection.socket.write(Buffer.alloc(UPLOAD_BYTES), (error) => {
        if (error) reject(error);
        else resolve();
      });
    });
    const { status, body, ending } = await connection.response();
    expect(ending).toBe("complete");
    return { status, body: body.toString() };
  } finally {
    connection.socket.destroy();
  }
};

const oneByOne =
  (upload: Upload): Uploads =>
  async (address, path) => {
    const came: unknown[] = [];
    for (let time = 0; time < TIMES; time += 1) {
      came.push(await upload(address, path).catch((error: unknown) => String(error)));
    }
    return came;
  };

const CLIENTS: readonly (readonly [string, Uploads])[] = [
  ["curl", oneByOne(curl())],
  ["curl that does not wait for 100", oneByOne(curl("Expect:"))],
  ["curl that sends chunks", oneByOne(curl("Expect:", "Transfer-Encoding: chunked"))],
  ["httpx", httpx],
  ["a socket", oneByOne(socket)],
];

/** Elsewhere the platform reads what nobody else does, and the workerd of this test is none that would. */
const describeOfOneIsolate = describe.skipIf(ARE_ALL_REQUESTS);

describeOfOneIsolate("an app that answers 401 before it reads", () => {
  let postern: Gateway;
  beforeAll(async () => {
    const endpoint = { asgi: "fastapi_app:app", directory: APPS, python, max_inputs: 100 };
    postern = await startUp([{ function: "web", ...endpoint }]);
    await send(postern.address(), "/json", { timeoutMs: 60_000 });
  }, WITHIN.timeout);
  afterAll(async () => await postern.stop());

  test.each(CLIENTS)(`reaches %s, ${TIMES} times of ${TIMES}`, WITHIN, async (_, uploads) => {
    const right = { status: 401, body: '{"detail":"a token, please"}' };
    expect(await uploads(postern.address(), "/private")).toEqual(
      Array.from({ length: TIMES }, () => right),
    );
  });
});

describeOfOneIsolate.each(["always", "never"])("a gateway with --front %s", (front) => {
  let gateway: Gateway;
  beforeAll(async () => {
    gateway = await startGateway({ flags: ["--front", front, "--rate-limit", "0"] });
  });
  afterAll(async () => await gateway.stop());

  test.each(CLIENTS)(
    `tells %s of an app that is not there, ${TIMES} times of ${TIMES}`,
    WITHIN,
    async (_, uploads) => {
      const stranger = { port: gateway.port, host: `nobody.localhost:${gateway.port}` };
      const came = await uploads(stranger, "/");
      const right = { status: 404, body: expect.stringContaining('"no_such_endpoint"') as string };
      expect(came).toEqual(Array.from({ length: TIMES }, () => right));
    },
  );
});

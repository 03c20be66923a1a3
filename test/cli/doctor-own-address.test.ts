/** What `postern doctor` makes of a gateway's own address, and of answers that every client gets. */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer as createTcpServer } from "node:net";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { examine, examineApp, listening } from "../support/doctor.ts";
import { temporaryDirectory } from "../support/temporary.ts";

const CLIENTS = ["lock", "browser", "eventsource", "websocket", "openai", "mcp"];

/** A gateway that is asked by its own name. */
function answerAsGateway({ url }: IncomingMessage, response: ServerResponse): void {
  response.setHeader("x-request-id", "r");
  if (url === "/api/v1/health") response.end('{"status":"ok"}');
  else if (url === "/") response.setHeader("content-type", "text/html").end("<title>Postern");
  else response.writeHead(404).end('{"code":"not_found"}');
}

test.each(["/", "/v1/models"])("the gateway's own address is told once: %s", async (path) => {
  const port = await listening(createServer(answerAsGateway));
  const state = temporaryDirectory();
  writeFileSync(join(state, "gateway.json"), JSON.stringify({ workerdPort: port }));
  const { code, of } = await examine(`http://127.0.0.1:${port}${path}`, "--state", state);
  expect(code).toBe(1);
  expect(of("curl")).toMatchObject({ outcome: "failed", detail: "the gateway's own address" });
  expect(of("curl")?.remedy).toContain("postern url");
  for (const check of [...CLIENTS, "sign-in"]) expect(of(check)).toBeUndefined();
  expect(of("inside")).toMatchObject({ outcome: "skipped" });
});

test("behind a dead port the gateway of this machine is not taken for another server", async () => {
  const closed = createTcpServer();
  const dead = await listening(closed);
  await new Promise((resolve) => closed.close(resolve));
  const state = temporaryDirectory();
  const workerdPort = await listening(createServer(answerAsGateway));
  writeFileSync(join(state, "gateway.json"), JSON.stringify({ workerdPort }));
  const { of } = await examine(`http://127.0.0.1:${dead}/`, "--state", state);
  expect(of("port")).toMatchObject({ outcome: "failed" });
  expect(of("inside")).toMatchObject({
    outcome: "skipped",
    detail: expect.stringContaining("own address") as unknown,
  });
});

test("an app that has a health path like the gateway's is none", async () => {
  const { of } = await examineApp((_request, response) => {
    response.writeHead(500).end('{"status":"ok"}');
  });
  expect(of("curl")?.detail).toBe("500 from the app itself");
  expect(of("mcp")).toBeDefined();
});

test.each([
  ["no_such_endpoint", 404, false],
  ["wrong_host", 421, false],
  ["missing_credentials", 401, true],
  ["invalid_credentials", 401, true],
] as const)("%s is what each client gets: the first one tells it", async (code, status, people) => {
  const { of } = await examineApp((_request, response) => {
    response.writeHead(status, { "content-type": "application/problem+json" });
    response.end(JSON.stringify({ status, code }));
  });
  expect(of("curl")?.detail).toContain(`${status} ${code}`);
  for (const check of CLIENTS) expect(of(check)).toBeUndefined();
  // A person signs in without a key.
  expect(of("sign-in") !== undefined).toBe(people);
});

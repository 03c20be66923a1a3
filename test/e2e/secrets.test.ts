/** What real containers get in secret: secrets of their environment, and their app's own token. */
import { PUT_SECRET } from "../../api/secrets.ts";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { ownAccess } from "../../cli/access.ts";
import { ApiClient } from "../../cli/client.ts";
import {
  type EndpointTable,
  type Gateway,
  startCommand,
  startGateway,
  startServe,
  writeConfig,
} from "../support/harness.ts";
import { send } from "../support/http-client.ts";
import { temporaryDirectory } from "../support/temporary.ts";

/** Answers its environment and the request's headers. */
const SERVER = `
import { createServer } from "node:http";
createServer(({ headers }, response) => response.end(JSON.stringify({ env: process.env, headers })))
  .listen(Number(process.env.PORT), "127.0.0.1");
`;

let gateway: Gateway;
let api: ApiClient;
beforeAll(async () => {
  gateway = await startGateway();
  api = new ApiClient(ownAccess(gateway.stateDirectory));
});
afterAll(async () => await gateway.stop());

function endpoint(name: string, more: Partial<EndpointTable> = {}): EndpointTable {
  const directory = temporaryDirectory();
  writeFileSync(join(directory, "server.mjs"), SERVER);
  return { function: name, web_server: ["node", "server.mjs"], directory, ...more };
}

async function putSecret(name: string, variables: Record<string, string>): Promise<void> {
  await api.call(PUT_SECRET, {
    path: { name },
    query: { environment: "main" },
    body: { variables },
  });
}

interface Seen {
  readonly env: Record<string, string>;
  readonly headers: Record<string, string>;
}

async function seenBy(name: string, headers: Record<string, string> = {}) {
  const { status, text } = await send(gateway.address(name, "-dev"), "/", { headers });
  return { status, seen: status === 200 ? (JSON.parse(text) as Seen) : undefined };
}

test("a container has its secrets, later ones first, and env before all of them", async () => {
  await putSecret("one", { FROM_ONE: "1", BOTH: "one", ALL: "one" });
  await putSecret("two", { FROM_TWO: "line 1\nline 2 ü", BOTH: "two", ALL: "two" });
  const served = await startServe(gateway, [
    endpoint("web", { secrets: ["one", "two"], env: { ALL: "env" } }),
    endpoint("bare"),
  ]);
  onTestFinished(() => served.killTree());
  const { seen } = await seenBy("web");
  expect(seen?.env).toMatchObject({
    FROM_ONE: "1",
    FROM_TWO: "line 1\nline 2 ü",
    BOTH: "two",
    ALL: "env",
    POSTERN_VERSION: "0",
  });
  expect((await seenBy("bare")).seen?.env).not.toHaveProperty("FROM_ONE");
  expect(served.stdout + served.stderr).not.toContain("line 2 ü");
});

test("a container's own token opens its app's private endpoints, and goes no further", async () => {
  const lock = { requires_proxy_auth: true };
  const served = await startServe(gateway, [endpoint("outside"), endpoint("inside", lock)]);
  onTestFinished(() => served.killTree());
  const { seen } = await seenBy("outside");
  const token = seen?.env["POSTERN_APP_TOKEN"] ?? "";
  expect(token).toMatch(/^pat-/);
  expect((await seenBy("inside")).status).toBe(401);
  const inside = await seenBy("inside", { authorization: `Bearer ${token}` });
  expect(inside.status).toBe(200);
  expect(inside.seen?.headers).not.toHaveProperty("authorization");
  expect(JSON.parse(inside.seen?.env["POSTERN_URLS"] ?? "")).toHaveProperty("outside");
  const forged = `${token.slice(0, -1)}${token.endsWith("a") ? "b" : "a"}`;
  expect((await seenBy("inside", { authorization: `Bearer ${forged}` })).status).toBe(401);
});

test("an app that names a secret which is not there does not start, and says which", async () => {
  const { tokenId, tokenSecret } = ownAccess(gateway.stateDirectory);
  const config = writeConfig([endpoint("web", { secrets: ["nowhere"] })]);
  const served = startCommand(["serve", config], {
    env: {
      POSTERN_URL: `http://localhost:${gateway.port}`,
      POSTERN_TOKEN_ID: tokenId,
      POSTERN_TOKEN_SECRET: tokenSecret,
    },
  });
  onTestFinished(() => served.killTree());
  expect((await served.exited).code).toBe(1);
  expect(served.stderr).toContain(
    "environment main has no secret nowhere; make it with postern secret create nowhere KEY=VALUE -e main",
  );
  expect(served.stdout).toBe("");
});

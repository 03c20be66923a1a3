/** `postern forward` to a server of this machine that demands a local Host, as Ollama does. */
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";

import { type Gateway, startCommand, startGateway } from "../support/harness.ts";
import { send } from "../support/http-client.ts";

let gateway: Gateway;
let server: Server;
let port = 0;

beforeAll(async () => {
  server = createServer((request, response) => {
    const isLocal = /^localhost(:\d+)?$/.test(request.headers.host ?? "");
    response.statusCode = isLocal ? 200 : 403;
    response.end(
      JSON.stringify({ path: request.url, user: request.headers["x-verified-user-data"] }),
    );
  });
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  ({ port } = server.address() as AddressInfo);
  gateway = await startGateway();
});
afterAll(async () => {
  await gateway.stop();
  server.close();
});

interface Forwarded {
  readonly url: string;
  readonly key?: string;
  readonly browser_url?: string;
}

/** Starts the command, and returns what it printed as JSON once it is there. */
async function forward(...flags: string[]) {
  const command = ["forward", String(port), "--json", ...flags, "--state", gateway.stateDirectory];
  const managed = startCommand(command);
  onTestFinished(async () => {
    await managed.stop();
  });
  await managed.waitForOutput(/\}\n/);
  const printed = JSON.parse(managed.stdout) as Forwarded;
  const ask = async (url: string, headers: Record<string, string> = {}) => {
    const { host, pathname, search } = new URL(url);
    return await send({ port: gateway.port, host }, pathname + search, { headers });
  };
  return { managed, ...printed, ask };
}

test("a random URL opens with the key alone, in a browser too, and is gone with the command", async () => {
  const { managed, url, key = "", browser_url: browserUrl = "", ask } = await forward();
  expect(new URL(url).hostname).toMatch(/^tests--[0-9a-f]{30}-dev\.localhost$/);
  expect((await ask(`${url}/`)).status).toBe(401);
  const answer = await ask(`${url}/api/tags`, { authorization: `Bearer ${key}` });
  expect(answer.status).toBe(200);
  expect(answer.json()).toEqual({ path: "/api/tags" });
  expect((await ask(browserUrl)).json()).toEqual({ path: "/" });
  await managed.stop("SIGINT");
  expect(await managed.exited).toMatchObject({ code: 0 });
  const gone = async () => (await ask(`${url}/`, { authorization: `Bearer ${key}` })).status;
  await expect.poll(gone).not.toBe(200);
});

test("the doctor finds the lock, and with the key an endpoint that is well", async () => {
  const { url, key = "" } = await forward();
  const examine = async (...flags: string[]) => {
    const managed = startCommand(["doctor", url, "--json", ...flags]);
    const { code } = await managed.exited;
    const findings = JSON.parse(managed.stdout) as {
      check: string;
      outcome: string;
      detail: string;
    }[];
    return { code, of: (name: string) => findings.find(({ check }) => check === name) };
  };
  const keyless = await examine();
  expect(keyless.code).toBe(1);
  expect(keyless.of("curl")?.detail).toContain("missing_credentials");
  const keyed = await examine("--key", key, "--state", gateway.stateDirectory);
  expect(keyed.code).toBe(0);
  for (const check of ["curl", "lock", "inside"])
    expect(keyed.of(check)).toMatchObject({ outcome: "ok" });
});

test("--open lets everybody in, and two commands have two URLs", async () => {
  const one = await forward("--open");
  const other = await forward("--open");
  expect(one.url).not.toBe(other.url);
  expect(one).not.toHaveProperty("key");
  for (const { url, ask } of [one, other]) expect((await ask(`${url}/`)).status).toBe(200);
});

test("--host-header public shows the server the public name", async () => {
  const { url, ask } = await forward("--open", "--host-header", "public");
  expect((await ask(`${url}/`)).status).toBe(403);
});

/** Requests and answers that are on their way in the moment in which an agent ends in order. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { stringify } from "smol-toml";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";

import { type CuttableProxy, startCuttableProxy } from "../support/cuttable-proxy.ts";
import { type Gateway, startGateway } from "../support/harness.ts";
import { type Answer, send } from "../support/http-client.ts";
import { startElsewhere } from "../support/other-machine.ts";
import type { ManagedProcess } from "../support/processes.ts";
import { temporaryDirectory } from "../support/temporary.ts";

/** Notes each request. */
const SERVER = `import { createServer } from "node:http";
import { appendFileSync } from "node:fs";
createServer(async (request, response) => {
  const got = Buffer.concat(await Array.fromAsync(request)).toString();
  appendFileSync(process.env.NOTES, got + "\\n");
  response.end("did " + got);
}).listen(process.env.PORT, "127.0.0.1");
`;

const state = temporaryDirectory();
const notes = join(temporaryDirectory(), "notes");
let gateway: Gateway;
let proxy: CuttableProxy;
let agent: ManagedProcess;

async function startBox(): Promise<void> {
  agent = startElsewhere(gateway, ["origin", "--name", "gpu-1", "--state", state], {
    HOME: state,
    NOTES: notes,
    POSTERN_URL: `http://localhost:${proxy.port}`,
  });
  await agent.waitForErrorOutput(/gpu-1 is connected/);
}

beforeAll(async () => {
  gateway = await startGateway();
  proxy = await startCuttableProxy(gateway.port);
  await startBox();
  const app = join(temporaryDirectory(), "shop");
  mkdirSync(app);
  writeFileSync(join(app, "server.mjs"), SERVER);
  const web = { function: "web", web_server: ["node", "server.mjs"] };
  const endpoint = [{ ...web, exit_grace_period: 1 }];
  writeFileSync(join(app, "postern.toml"), stringify({ app: "shop", endpoint }));
  expect(await startElsewhere(gateway, ["deploy", join(app, "postern.toml")]).exited).toEqual({
    code: 0,
    signal: null,
  });
});

afterAll(async () => {
  agent.killTree();
  await proxy.close();
  await gateway.stop();
});

const isLink = (line: string): boolean => line.includes("/_postern/link/");
const noted = (): string[] => readFileSync(notes, "utf8").trim().split("\n");

async function post(body: string): Promise<Pick<Answer, "status" | "text">> {
  const address = { port: gateway.port, host: `tests--shop-web.localhost:${gateway.port}` };
  const { status, text } = await send(address, "/", { method: "POST", body, timeoutMs: 60_000 });
  return { status, text };
}

beforeEach(async () => {
  writeFileSync(notes, "");
  expect(await post("first")).toEqual({ status: 200, text: "did first" });
});

test.each(["SIGUSR2", "SIGTERM"] as const)(
  "a request that reaches no agent, since it ends on %s, is the next agent's",
  async (signal) => {
    const held = proxy.hold("to", isLink);
    const body = "second".repeat(100);
    const answer = post(body);
    // The gateway has sent it by then.
    await expect.poll(held, { timeout: 15_000 }).toBeGreaterThan(body.length);
    process.kill(agent.pid, signal);
    expect(await agent.exited).toEqual({ code: 0, signal: null });
    await startBox();
    expect(await answer).toEqual({ status: 200, text: `did ${body}` });
    expect(noted()).toEqual(["first", body]);
  },
);

test("a call whose answer is lost as its agent ends is lost, and does not run again", async () => {
  proxy.hold("from", isLink);
  const answer = post("second");
  await expect.poll(noted).toEqual(["first", "second"]);
  process.kill(agent.pid, "SIGUSR2");
  expect(await agent.exited).toEqual({ code: 0, signal: null });
  proxy.cut(isLink);
  await startBox();
  expect(await answer).toMatchObject({
    status: 502,
    text: expect.stringContaining("call_lost") as string,
  });
  expect(noted()).toEqual(["first", "second"]);
});

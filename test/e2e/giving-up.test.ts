/** An app under `postern serve` whose container dies at each request. */
import { expect, onTestFinished, test } from "vitest";
import { startGateway, startServe, webServer } from "../support/harness.ts";
import { send } from "../support/http-client.ts";

const DIES_AT_WORK = `require("node:http").createServer(() => process.exit(7)).listen(process.env.PORT, "127.0.0.1")`;

test("is a crash loop at first, and is given up then; both are said", async () => {
  const gateway = await startGateway();
  onTestFinished(async () => await gateway.stop());
  const agent = await startServe(gateway, [
    webServer({ web_server: ["node", "-e", DIES_AT_WORK] }),
  ]);
  onTestFinished(async () => void (await agent.stop()));
  const ask = async () => await send(gateway.address("web", "-dev"), "/", { timeoutMs: 60_000 });
  for (let failures = 1; failures <= 6; failures++) {
    expect((await ask()).status).toBe(502);
    // Until the agent knows of it, the next request goes to the dead container too.
    await expect.poll(() => agent.stderr.match(/ended by itself/g)?.length).toBe(failures);
  }
  await expect.poll(() => agent.stderr).toMatch(/given up after 6 failures in a row/);
  const refused = await ask();
  expect(refused.status).toBe(503);
  expect(refused.text).toContain("it failed too often and is not started any more");
  expect(refused.headers["retry-after"]).toBeUndefined();
  expect(refused.headers["x-should-retry"]).toBe("false");
  await agent.waitForErrorOutput(/crash loop, 3 failures in a row/);
}, 90_000);

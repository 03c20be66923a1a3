/** A network that drops every packet, those of dials too: calls go on when it is back, and none runs twice. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { stringify } from "smol-toml";
import { expect, onTestFinished, test } from "vitest";

import { ownAccess } from "../../cli/access.ts";
import { openFarNetwork } from "../support/far-network.ts";
import { ROOT, startCommand, WORKSPACE } from "../support/harness.ts";
import { send } from "../support/http-client.ts";
import { ManagedProcess } from "../support/processes.ts";
import { freePort, temporaryDirectory } from "../support/temporary.ts";

const HOST = "gateway.test";

/** Notes each request before it does anything else; answers after the milliseconds in its path. */
const APP = `
const { appendFileSync } = require("node:fs");
require("node:http").createServer((request, response) => {
  appendFileSync(process.env.SEEN, request.method + " " + request.url + "\\n");
  setTimeout(() => response.end("done"), Number(request.url.split("/")[1]));
}).listen(process.env.PORT, "127.0.0.1");
`;

test("calls that run while the network drops every packet are answered when it is back", async (context) => {
  const network = openFarNetwork(HOST);
  if (network === undefined) {
    context.skip("needs the right to make network namespaces");
    return;
  }
  onTestFinished(() => network.close());
  const directory = temporaryDirectory();
  const [state, seen, config] = ["state", "seen", "postern.toml"].map((name) =>
    join(directory, name),
  ) as [string, string, string];
  const port = await freePort();
  const domain = `${HOST}:${port}`;
  const gateway = startCommand(
    [
      "gateway",
      "--host",
      "0.0.0.0",
      "--port",
      `${port}`,
      "--base-domain",
      domain,
      "--state",
      state,
    ],
    { env: { POSTERN_WORKSPACE: WORKSPACE } },
  );
  onTestFinished(() => gateway.killTree());
  await gateway.waitForOutput(new RegExp(domain));

  writeFileSync(join(directory, "app.cjs"), APP);
  const endpoint = {
    function: "web",
    web_server: ["node", "app.cjs"],
    env: { SEEN: seen },
    max_inputs: 10,
  };
  writeFileSync(config, stringify({ workspace: WORKSPACE, app: "far", endpoint: [endpoint] }));
  const { tokenId, tokenSecret } = ownAccess(state);
  const command = [process.execPath, join(ROOT, "cli/postern.js"), "serve", config] as const;
  const agent = new ManagedProcess([...network.prefix, ...command], {
    cwd: directory,
    env: {
      ...process.env,
      POSTERN_URL: `http://${domain}`,
      POSTERN_TOKEN_ID: tokenId,
      POSTERN_TOKEN_SECRET: tokenSecret,
      POSTERN_DEBUG: "link",
    },
  });
  onTestFinished(() => agent.killTree());
  const address = { port, host: `${WORKSPACE}--far-web-dev.${domain}` };
  await agent.waitForOutput(new RegExp(address.host));
  expect((await send(address, "/0/before")).text).toBe("done");

  const post = { method: "POST", timeoutMs: 60_000 };
  const calls = [
    // Ends while nothing passes.
    send(address, "/3000/early", post),
    send(address, "/16000/late", post),
    send(address, "/3000/keyed", { ...post, headers: { "idempotency-key": "k" } }),
  ];
  await expect.poll(() => readFileSync(seen, "utf8").split("\n").length).toBe(5);
  network.drop();
  calls.push(send(address, "/0/meanwhile", { timeoutMs: 60_000 }));
  // The agent misses the gateway's answers, and its next dial is swallowed with all the rest.
  await agent.waitForErrorOutput(/gateway is lost[^]*link\.state \w+ -> dialling/, 30_000);
  network.pass();
  for (const call of calls) expect((await call).text).toBe("done");
  const lines = readFileSync(seen, "utf8").trim().split("\n").toSorted();
  expect(lines).toEqual([
    "GET /0/before",
    "GET /0/meanwhile",
    "POST /16000/late",
    "POST /3000/early",
    "POST /3000/keyed",
  ]);
});

/** A box beside its gateway returns after that gateway's restart, whose process listens elsewhere past the front. */
import { writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { readRunning } from "../../cli/gateway/state-directory.ts";
import { temporaryDirectory } from "../support/temporary.ts";
import { postern, startPostern, startPosternGateway } from "./postern.ts";

test("serve returns when the gateway on its machine does, and says so", async () => {
  const app = createServer((_, response) => response.end("here")).listen(0, "127.0.0.1");
  onTestFinished(() => void app.close());
  await once(app, "listening");
  const cwd = temporaryDirectory();
  const upstream = `http://127.0.0.1:${(app.address() as AddressInfo).port}`;
  const config = `app = "shop"\n[[endpoint]]\nfunction = "web"\nupstream = "${upstream}"\n`;
  writeFileSync(join(cwd, "postern.toml"), config);
  const { process: gateway, port, state } = await startPosternGateway();
  const env = { POSTERN_CONFIG_PATH: join(cwd, "none.toml") };
  const serve = startPostern(["serve", "--state", state], { cwd, env });
  await serve.waitForOutput(/^http:\/\/local--shop-web/m);

  const before = readRunning(state)?.workerdPort;
  await gateway.stop();
  await serve.waitForErrorOutput(/the link to the gateway is lost/);
  await startPosternGateway(["--port", `${port}`, "--state", state]);
  expect(readRunning(state)?.workerdPort).not.toBe(before);
  await serve.waitForErrorOutput(/the link to the gateway is back/);
  const listed = await postern(["box", "list", "--json", "--state", state], { env });
  const boxes = JSON.parse(listed.stdout) as { connected: boolean }[];
  expect(boxes).toMatchObject([{ connected: true }]);
});

test("POSTERN_URL beside --state of another gateway is refused", async () => {
  const { state, port } = await startPosternGateway();
  const env = {
    POSTERN_CONFIG_PATH: join(temporaryDirectory(), "none.toml"),
    POSTERN_URL: "http://gateway.example:8787",
  };
  const refused = await postern(["box", "list", "--state", state], { env });
  expect(refused.code).toBe(2);
  expect(refused.stderr).toContain(
    `POSTERN_URL is http://gateway.example:8787, and the gateway of --state is http://localhost:${port}`,
  );
  const same = { ...env, POSTERN_URL: `http://localhost:${port}` };
  expect((await postern(["box", "list", "--state", state], { env: same })).code).toBe(0);
});

/** The gateway's key is replaced: tokens and boxes go on while both keys are there, and end with the old one. */
import { readFileSync, writeFileSync } from "node:fs";
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";

import {
  type Gateway,
  startCommand,
  startGateway,
  startServe,
  webServer,
} from "../support/harness.ts";
import { send } from "../support/http-client.ts";

const stops: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0).toReversed()) await stop();
});

test("a box and a token go on under the new key beside the old one, and the token ends with that", async () => {
  const first = await startGateway();
  const { port, stateDirectory } = first;
  const box = await startServe(first, [webServer({ requires_proxy_auth: true })]);
  stops.push(async () => await box.stop("SIGINT"));
  const tokenOf = async (): Promise<Record<string, string>> => {
    const command = startCommand(["proxy-token", "create", "--state", stateDirectory]);
    expect((await command.exited).code).toBe(0);
    const [id = "", secret = ""] = command.stdout.split("\n");
    return { "modal-key": id, "modal-secret": secret };
  };
  const old = await tokenOf();
  const status = async (gateway: Gateway, headers: Record<string, string>) =>
    (await send(gateway.address("web", "-dev"), "/json", { headers }).catch(() => undefined))
      ?.status;
  await expect.poll(async () => await status(first, old), { timeout: 20_000 }).toBe(200);

  const file = join(stateDirectory, "key");
  const present = randomBytes(32).toString("base64url");
  const restartWith = async (last: Gateway, lines: readonly string[]): Promise<Gateway> => {
    await last.stop();
    writeFileSync(file, `${lines.join("\n")}\n`);
    return await startGateway({ port, stateDirectory });
  };
  const both = await restartWith(first, [present, readFileSync(file, "utf8").trim()]);
  await expect.poll(async () => await status(both, old), { timeout: 20_000 }).toBe(200);
  const fresh = await tokenOf();
  await expect.poll(async () => await status(both, fresh), { timeout: 20_000 }).toBe(200);

  const last = await restartWith(both, [present]);
  stops.push(async () => await last.stop());
  const statuses = async () => [await status(last, old), await status(last, fresh)];
  // The box was enrolled under the old key: it has to be enrolled anew.
  await expect.poll(async () => (await statuses())[0], { timeout: 20_000 }).toBe(401);
  expect((await statuses())[1]).not.toBe(401);
}, 120_000);

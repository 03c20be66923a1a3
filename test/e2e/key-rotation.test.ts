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
import { open, send } from "../support/http-client.ts";

/** Of responses that take 1 s: a gateway that does not end within 3 s is told again, and then cuts them. */
const EVENTS = 10;
const LAST_EVENT = `data: ${EVENTS - 1}\n\n`;

async function readText(response: AsyncIterable<unknown>): Promise<string> {
  let text = "";
  for await (const chunk of response) text += String(chunk);
  return text;
}

const stops: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0).toReversed()) await stop();
});

test("a box, a token and calls under way go on under the new key beside the old one, and the token ends with that", async () => {
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
  // A response that streams meanwhile ends whole, and one that is stored is read under the new key.
  const path = `/events?count=${EVENTS}&interval_ms=100`;
  const streaming = await open(first.address("web", "-dev"), path, { headers: old });
  const streamed = readText(streaming);
  streamed.catch(() => undefined);
  const headers = { ...old, prefer: "respond-async" };
  const accepted = await send(first.address("web", "-dev"), path, { headers });
  const { result_url: result } = accepted.json() as { result_url: string };
  const both = await restartWith(first, [present, readFileSync(file, "utf8").trim()]);
  expect(await streamed).toContain(LAST_EVENT);
  await expect.poll(async () => await status(both, old), { timeout: 20_000 }).toBe(200);
  const { pathname, search } = new URL(result);
  const stored = await send(both.address("web", "-dev"), pathname + search, { headers: old });
  expect([stored.status, stored.text.endsWith(LAST_EVENT)]).toEqual([200, true]);
  const fresh = await tokenOf();
  await expect.poll(async () => await status(both, fresh), { timeout: 20_000 }).toBe(200);

  const last = await restartWith(both, [present]);
  stops.push(async () => await last.stop());
  const statuses = async () => [await status(last, old), await status(last, fresh)];
  // The box was enrolled under the old key: it has to be enrolled anew.
  await expect.poll(async () => (await statuses())[0], { timeout: 20_000 }).toBe(401);
  expect((await statuses())[1]).not.toBe(401);
}, 120_000);

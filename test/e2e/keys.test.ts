/** Idempotency-Keys while an app's boxes change: each call runs once, wherever its key came first. */
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";

import { type Told, writeDeployable } from "../support/deployable.ts";
import { type Gateway, startCommand, startGateway } from "../support/harness.ts";
import { send } from "../support/http-client.ts";
import type { ManagedProcess } from "../support/processes.ts";
import { temporaryDirectory } from "../support/temporary.ts";

const APP = join(temporaryDirectory(), "shop");
const KEYS = Array.from({ length: 8 }, (_, number) => `order-${number}`);
const LATER_KEYS = Array.from({ length: 8 }, (_, number) => `later-${number}`);

let gateway: Gateway;
const boxes = new Map<string, ManagedProcess>();
beforeAll(async () => {
  gateway = await startGateway();
  await startBox("b1");
  await startBox("b2");
});
afterAll(async () => {
  await Promise.all([...boxes.values()].map((managed) => managed.stop()));
  await gateway.stop();
});

/** A box with a state directory of its own, which knows the gateway by a URL and a token. */
async function startBox(name: string): Promise<void> {
  const token = startCommand(["token", "create", "--state", gateway.stateDirectory]);
  await token.exited;
  const [id, secret] = token.stdout.split("\n");
  const env = {
    HOME: temporaryDirectory(),
    POSTERN_URL: `http://localhost:${gateway.port}`,
    POSTERN_TOKEN_ID: id,
    POSTERN_TOKEN_SECRET: secret,
  };
  const managed = startCommand(["origin", "--name", name], { env });
  boxes.set(name, managed);
  await managed.waitForErrorOutput(new RegExp(`${name} is connected`));
}

async function deploy(text: string, on: string[]): Promise<void> {
  writeDeployable(APP, "shop", text, { web: { boxes: on, max_containers: 2 } });
  const args = ["deploy", join(APP, "postern.toml"), "--state", gateway.stateDirectory];
  const managed = startCommand(args);
  const { code } = await managed.exited;
  expect({ code, stderr: managed.stderr }).toMatchObject({ code: 0 });
  // The edge knows the boxes of the new version.
  const expected = new Set(on.map((box) => `${box}: ${text}`));
  await expect.poll(async () => await answers(), { timeout: 20_000 }).toEqual(expected);
}

/** Which boxes answer calls without a key, and with what. */
async function answers(): Promise<Set<string>> {
  const seen = await Promise.all(Array.from({ length: 20 }, async () => await told()));
  return new Set(seen.map(({ box, text }) => `${box}: ${text}`));
}

async function told(key?: string): Promise<Told> {
  const address = { port: gateway.port, host: `tests--shop-web.localhost:${gateway.port}` };
  const headers = key === undefined ? {} : { "idempotency-key": key };
  const answer = await send(address, "/", { method: "POST", headers, body: "an order" });
  expect({ status: answer.status, text: answer.text }).toMatchObject({ status: 200 });
  return answer.json() as Told;
}

const toldOf = async (keys: readonly string[]): Promise<Told[]> =>
  await Promise.all(keys.map(async (key) => await told(key)));

test("a box that is added runs no call again, and new keys have one home each", async () => {
  await deploy("first", ["b1"]);
  const first = await toldOf(KEYS);
  await deploy("second", ["b1", "b2"]);
  expect(await toldOf(KEYS)).toEqual(first);

  const later = await toldOf(LATER_KEYS);
  expect(new Set(later.map(({ box }) => box))).toEqual(new Set(["b1", "b2"]));
  expect(await toldOf(LATER_KEYS)).toEqual(later);

  // A box that does not serve the app any more still answers for its calls.
  await deploy("third", ["b2"]);
  expect(await toldOf(KEYS)).toEqual(first);
  expect(await toldOf(LATER_KEYS)).toEqual(later);
});

test("while a box that may have run a call is away, its keys wait for it, and none runs elsewhere", async () => {
  await deploy("fourth", ["b1"]);
  const [first] = await toldOf(["waits"]);
  await deploy("fifth", ["b2"]);
  await boxes.get("b1")?.stop();
  const address = { port: gateway.port, host: `tests--shop-web.localhost:${gateway.port}` };
  const request = { method: "POST", headers: { "idempotency-key": "waits" }, body: "an order" };
  const refused = await send(address, "/", request);
  expect(refused.status).toBe(503);
  expect(refused.headers["retry-after"]).toBe("1");
  expect((await told()).text).toBe("fifth");
  expect(first?.box).toBe("b1");
});

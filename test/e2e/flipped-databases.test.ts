/**
 * A disk that flips bits in the gateway's databases while the gateway is off: one bit in each file, round after round,
 * after an end by a signal and after a kill. The gateway answers as before, or refuses to start and names the file.
 */
import { randomInt } from "node:crypto";
import { cpSync, readdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";

import { ownAccess } from "../../cli/access.ts";
import { type Gateway, startGateway } from "../support/harness.ts";
import { send } from "../support/http-client.ts";
import { untilGone } from "../support/processes.ts";
import { rot } from "../support/rot.ts";
import { temporaryDirectory } from "../support/temporary.ts";

const ROUNDS = 4;
const TOKENS = 12;

let gateway: Gateway | undefined;
afterAll(async () => await gateway?.stop());

function api(running: Gateway, path: string, body?: unknown) {
  const { tokenId, tokenSecret } = ownAccess(running.stateDirectory);
  return send(running.base, `/api/v1/${path}`, {
    headers: {
      authorization: `Bearer ${tokenId}.${tokenSecret}`,
      ...(body !== undefined && { "content-type": "application/json" }),
    },
    ...(body !== undefined && { method: "POST", body: JSON.stringify(body) }),
  });
}

/** What clients see of the databases. A token's last use is noted seconds after the use. */
async function seen(running: Gateway): Promise<string> {
  const answers = ["tokens", "proxy-tokens", "environments", "secrets?environment=main"].map(
    async (path) => {
      const { status, text } = await api(running, path);
      expect(status, text).toBe(200);
      return text.replaceAll(/"last_used_at":(?:null|"[^"]*")/g, "");
    },
  );
  return (await Promise.all(answers)).join("\n");
}

/** Flips one bit in each file of the databases, and returns where, for the message of a failure. */
function flip(objects: string): string[] {
  const names = readdirSync(objects, { recursive: true }) as string[];
  return names.toSorted().flatMap((name) => {
    const path = join(objects, name);
    const { size } = statSync(path);
    if (!name.includes(".sqlite") || size === 0) return [];
    const bit = randomInt(8 * size);
    rot(path, [bit]);
    return [`${name}: bit ${bit} of ${8 * size}`];
  });
}

test("a flipped bit in each file of the databases changes no answer, or keeps the gateway from starting", async () => {
  let running = await startGateway();
  gateway = running;
  const { port, stateDirectory } = running;
  const objects = join(stateDirectory, "objects");
  const told = { mended: 0, refused: 0 };
  for (let round = 0; round < ROUNDS; round += 1) {
    for (let token = 0; token < TOKENS; token += 1) {
      const created = await api(running, "proxy-tokens", { name: `token-${round}-${token}` });
      expect(created.status, created.text).toBe(201);
    }
    const before = await seen(running);
    const isKilled = round % 2 === 0;
    const { workerdPid } = running;
    if (isKilled) await running.process.kill();
    else await running.stop();
    await untilGone(workerdPid);

    const backup = join(temporaryDirectory(), "objects");
    cpSync(objects, backup, { recursive: true, preserveTimestamps: true });
    const flipped = flip(objects).join(", ");
    expect(flipped.includes("-wal"), flipped).toBe(isKilled);
    try {
      running = await startGateway({ port, stateDirectory });
      if (flipped !== "" && running.process.stderr.includes("mended")) told.mended += 1;
    } catch (error) {
      // It ended with one line for each file that it can't mend: a file of the log, where the checksum locates no bit.
      const refusal = String(error);
      expect(refusal, flipped).toMatch(/objects\/\S+\.sqlite(?:-wal)? is damaged/);
      told.refused += 1;
      rmSync(objects, { recursive: true });
      cpSync(backup, objects, { recursive: true, preserveTimestamps: true });
      running = await startGateway({ port, stateDirectory });
    }
    gateway = running;
    expect(await seen(running), flipped).toBe(before);
  }
  expect(told.mended + told.refused).toBe(ROUNDS);
}, 120_000);

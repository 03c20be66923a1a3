/** A GPU box of its own beside a gateway of its own: each can be killed and started again by itself. */
import { readFileSync } from "node:fs";
import { join } from "node:path";

import type { BoxOptions } from "./apps/box.ts";
import { APPS, type EndpointTable, type Gateway, writeConfig } from "./harness.ts";
import { send } from "./http-client.ts";
import { ManagedProcess } from "./processes.ts";

const BOX_NAME = "box";

export interface BoxPlace {
  readonly gateway: Gateway;
  /** Kept over a kill of the agent. */
  readonly stateDirectory: string;
  /** Where it dials instead of the gateway's own port: a proxy of the test. */
  readonly throughPort: number;
}

/** Starts an agent that serves these endpoints; ready when the gateway has accepted them. */
export async function startBox(
  { gateway, stateDirectory, throughPort }: BoxPlace,
  endpoints: readonly EndpointTable[],
): Promise<ManagedProcess> {
  const options: BoxOptions = {
    gatewayUrl: `http://localhost:${throughPort}`,
    boxName: BOX_NAME,
    boxSecret: boxSecret(gateway),
    stateDirectory,
    configFile: writeConfig(endpoints),
  };
  const program = join(APPS, "box.ts");
  const agent = new ManagedProcess([
    process.execPath,
    "--expose-gc",
    program,
    JSON.stringify(options),
  ]);
  await agent.waitForOutput(/^ready /m);
  return agent;
}

/** Memory of a box's agent after its garbage was collected; `asked` counts the questions from 1. */
export async function memoryOf(agent: ManagedProcess, asked: number): Promise<NodeJS.MemoryUsage> {
  process.kill(agent.pid, "SIGUSR2");
  const [, text = ""] = await agent.waitForOutput(new RegExp(`^memory ${asked} (.*)$`, "m"));
  return JSON.parse(text) as NodeJS.MemoryUsage;
}

/** Ends the Origin object of the box's link as Cloudflare may at any time. */
export async function resetOrigin(gateway: Gateway, boxName = BOX_NAME): Promise<void> {
  const answer = await send(gateway.base, "/_postern/test/abort-origin?link=0", {
    method: "POST",
    headers: { authorization: `Bearer ${boxSecret(gateway)}`, "postern-box": boxName },
  });
  if (answer.status !== 204) throw new Error(`the object was not reset: ${answer.text}`);
}

function boxSecret({ stateDirectory }: Gateway): string {
  return readFileSync(join(stateDirectory, "box-secret"), "utf8").trim();
}

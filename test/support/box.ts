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
  const program = [process.execPath, join(APPS, "box.ts"), JSON.stringify(options)] as const;
  const agent = new ManagedProcess(program);
  await agent.waitForOutput(/^ready /m);
  return agent;
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

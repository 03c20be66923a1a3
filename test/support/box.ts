/** A GPU box of its own beside a gateway of its own: each can be killed and started again by itself. */
import { LIST_BOXES } from "../../api/boxes.ts";
import { join } from "node:path";

import { ownAccess } from "../../cli/access.ts";
import { enrolledBox } from "../../cli/box-identity.ts";
import { ApiClient } from "../../cli/client.ts";
import type { BoxOptions } from "./apps/box.ts";
import { APPS, type EndpointTable, type Gateway, WORKSPACE, writeConfig } from "./harness.ts";
import { send } from "./http-client.ts";
import { ManagedProcess } from "./processes.ts";
import { temporaryDirectory } from "./temporary.ts";

const BOX_NAME = "box";

export interface BoxPlace {
  readonly gateway: Gateway;
  /** Kept over a kill of the agent; without one no call is kept. */
  readonly stateDirectory?: string;
  /** Where it dials instead of the gateway's own port: a proxy of the test. */
  readonly throughPort: number;
  /** Links that the agent keeps; one by default. */
  readonly links?: number;
  /** Bytes that the heads of all waiting calls may have. */
  readonly waitingHeadsBytes?: number;
}

/** Starts an agent that serves these endpoints; ready when the gateway has accepted them. */
export async function startBox(
  { gateway, stateDirectory, throughPort, links = 1, ...more }: BoxPlace,
  endpoints: readonly EndpointTable[],
): Promise<ManagedProcess> {
  const options: BoxOptions = {
    gatewayUrl: `http://localhost:${throughPort}`,
    enrolment: await enrolledBox({
      access: ownAccess(gateway.stateDirectory),
      directory: stateDirectory ?? temporaryDirectory(),
      name: BOX_NAME,
    }),
    ...(stateDirectory === undefined ? {} : { stateDirectory }),
    links,
    ...more,
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

/** Ends the Origin object of one of a box's links as Cloudflare may at any time. */
export async function resetOrigin(gateway: Gateway, box?: string, link = 0): Promise<void> {
  const name = box ?? (await onlyBox(gateway));
  const query = new URLSearchParams({ workspace: WORKSPACE, box: name, link: String(link) });
  const answer = await send(gateway.base, `/_postern/test/abort-origin?${query.toString()}`, {
    method: "POST",
  });
  if (answer.status !== 204) throw new Error(`the object was not reset: ${answer.text}`);
}

/** The name of the one box that is connected. */
async function onlyBox({ stateDirectory }: Gateway): Promise<string> {
  const api = new ApiClient(ownAccess(stateDirectory));
  const boxes = await api.list(LIST_BOXES, {});
  const [box, ...others] = boxes.filter(({ connected }) => connected);
  if (box === undefined || others.length > 0) throw new Error("not one box is connected");
  return box.name;
}

/** The files of one agent alone, which it opens before it dials: waiting request bodies, and what is deployed here. */
import { join } from "node:path";
import { GIB } from "../base/units.ts";
import type { AgentOptions } from "./agent-options.ts";
import { type DeploymentFiles, openDeploymentFiles } from "./apps/deployed-apps.ts";
import { BodySpools } from "./calls/body-spool.ts";

/** Request bodies of all waiting calls together, in memory and on the disk. */
const WAITING_BODIES_BYTES = 10 * GIB;

/** Empty for an agent without a state directory. */
export interface AgentFiles {
  readonly bodies?: BodySpools;
  readonly deployed?: DeploymentFiles | undefined;
}

export async function openAgentFiles({
  stateDirectory: directory,
  acceptsAssignments = false,
  appUser,
}: AgentOptions): Promise<AgentFiles> {
  if (directory === undefined) return {};
  const bodies = await BodySpools.open({
    directory: join(directory, "bodies"),
    limitBytes: WAITING_BODIES_BYTES,
  });
  const deployed = acceptsAssignments ? await openDeploymentFiles(directory, appUser) : undefined;
  return { bodies, deployed };
}

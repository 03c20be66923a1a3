/**
 * The files of one agent alone, which it opens before it dials: waiting request bodies, what is deployed here, logs,
 * and which processes its containers are. It ends what an earlier agent left of those, and not on purpose.
 */
import { join } from "node:path";
import { GIB } from "../base/units.ts";
import type { AgentOptions } from "./agent-options.ts";
import { type DeploymentFiles, openDeploymentFiles } from "./apps/deployed-apps.ts";
import { GradioDirectories } from "./apps/gradio-directories.ts";
import { SharedData } from "./apps/shared-data.ts";
import { BodySpools } from "./calls/body-spool.ts";
import { LeftContainers } from "./containers/left-containers.ts";
import { ProcessRecords } from "./containers/process-records.ts";
import { ContainerLogs } from "./logs/container-logs.ts";

/** Request bodies of all waiting calls together, in memory and on the disk. */
const WAITING_BODIES_BYTES = 10 * GIB;

export interface AgentFiles {
  readonly bodies: BodySpools | undefined;
  readonly deployed?: DeploymentFiles | undefined;
  readonly logs: ContainerLogs;
  readonly records?: ProcessRecords;
  readonly gradio?: GradioDirectories;
  readonly data?: SharedData | undefined;
  /** The containers that the last agent left running for this one. */
  readonly left?: LeftContainers;
}

/** Without a state directory logs are in memory, and nothing else is kept. */
export async function openAgentFiles({
  stateDirectory: directory,
  dataDirectory,
  acceptsAssignments,
  appUser,
  observer,
}: AgentOptions): Promise<AgentFiles> {
  if (directory === undefined) return { bodies: undefined, logs: new ContainerLogs() };
  const { notice } = observer;
  const records = await ProcessRecords.open({ directory: join(directory, "containers"), notice });
  const running = records.left.map(({ id }) => id);
  const inUse = records.left.map(({ record }) => record.directory);
  return {
    bodies: await BodySpools.open({
      directory: join(directory, "bodies"),
      limitBytes: WAITING_BODIES_BYTES,
    }),
    deployed:
      acceptsAssignments === true
        ? await openDeploymentFiles(directory, appUser, inUse, notice)
        : undefined,
    logs: await ContainerLogs.open(join(directory, "logs"), observer, running),
    gradio: new GradioDirectories(directory, appUser),
    data: dataDirectory === undefined ? undefined : new SharedData(dataDirectory, appUser),
    records,
    left: new LeftContainers(records.left, notice),
  };
}

/** Leaves a container's processes running when this agent ends: for the next one, which finds them by their record. */
import { identityOf } from "../../base/node/process-identity.ts";
import type { LeftRecord } from "./left-record.ts";
import { newSealKey, sealVariables, type ContainerVariables } from "./left-variables.ts";
import type { ProcessGroup } from "./process-group.ts";
import type { ProcessRecords } from "./process-records.ts";

/** An agent that starts again takes seconds. A container that nobody wants has a GPU for that time. */
const LINGER_S = 60;

interface RunningContainer extends Omit<LeftRecord, "format" | "inner" | "descriptors"> {
  readonly container: string;
  readonly variables: ContainerVariables;
  readonly records: ProcessRecords;
}

/** @returns why that can't be, in words; undefined where it is done */
export async function leaveRunning(
  group: ProcessGroup,
  { container, records, variables, ...known }: RunningContainer,
): Promise<string | undefined> {
  if (!group.isSupervised) return "neither perl nor python3 is here to supervise it";
  const key = newSealKey();
  const left = await group.leave(LINGER_S, key);
  if (left === undefined) return "its supervisor's pipes can't be opened by /proc";
  const { pid, ...descriptors } = left;
  const inner = identityOf(pid);
  const sealed = sealVariables(variables, key);
  const record = inner && { format: 1 as const, inner, descriptors, variables: sealed, ...known };
  if (record === undefined || !(await records.leave(container, record))) {
    return "no note of it can be written to the disk";
  }
  group.letGo();
  return undefined;
}

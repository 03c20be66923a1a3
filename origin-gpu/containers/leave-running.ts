/** Leaves a container's processes running when this agent ends: for the next one, which finds them by their record. */
import { identityOf } from "../../base/node/process-identity.ts";
import type { LeftSessions } from "../core/left-sessions.ts";
import type { LeftRecord } from "./left-record.ts";
import { newSealKey, sealVariables, type ContainerVariables } from "./left-variables.ts";
import type { ProcessGroup } from "./process-group.ts";
import type { ProcessRecords } from "./process-records.ts";
import { sealSessions } from "./sealed-sessions.ts";

/** An agent that starts again takes seconds. A container that nobody wants has a GPU for that time. */
const LINGER_S = 60;

interface RunningContainer extends Omit<
  LeftRecord,
  "format" | "inner" | "descriptors" | "sessions"
> {
  readonly container: string;
  readonly variables: ContainerVariables;
  readonly sessions: LeftSessions | undefined;
  readonly records: Pick<ProcessRecords, "leave">;
}

/** @returns why that can't be, in words; undefined where it is done */
export async function leaveRunning(
  group: Pick<ProcessGroup, "isSupervised" | "leave" | "letGo">,
  { container, records, variables, sessions, ...known }: RunningContainer,
): Promise<string | undefined> {
  if (!group.isSupervised) return "neither perl nor python3 is here to supervise it";
  const key = newSealKey();
  const left = await group.leave(LINGER_S, key);
  if (left === undefined) return "its supervisor's pipes can't be opened by /proc";
  const { pid, ...descriptors } = left;
  const inner = identityOf(pid);
  const sealed = sealVariables(variables, key);
  const record = inner && { format: 1 as const, inner, descriptors, variables: sealed, ...known };
  const whole = record && { ...record, sessions: sessions && sealSessions(sessions, key) };
  const isNoted =
    whole !== undefined &&
    ((await records.leave(container, whole)) ||
      // A disk that is almost full may have room for the container alone.
      (await records.leave(container, { ...whole, sessions: undefined })));
  if (!isNoted) {
    return "no note of it can be written to the disk";
  }
  group.letGo();
  return undefined;
}

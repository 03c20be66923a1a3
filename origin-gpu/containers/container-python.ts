/** The interpreter of a container's app, which the container holds until it has exited. */
import { rejectedBy } from "../../base/runtime/rejected-by.ts";
import { isPythonKind } from "../config/python-kinds.ts";
import type { ProcessKind } from "./container-command.ts";
import type { ContainerOptions, UsedPython } from "./container.ts";

interface PythonUse {
  readonly exited: Promise<unknown>;
  /** Ends the wait. */
  readonly signal: AbortSignal;
  readonly log: (line: string) => void;
}

/** Its time does not count as the app's: packages may have to be installed. @throws the signal's reason */
export async function pythonOf(
  kind: ProcessKind,
  { endpoint, usePython }: Pick<ContainerOptions, "endpoint" | "usePython">,
  { exited, signal, log }: PythonUse,
): Promise<string> {
  if (!isPythonKind(kind)) return endpoint.python;
  const used = usePython(endpoint, log);
  // Not awaited: the stop of the container need not wait for an environment that is still being made.
  void releaseAtTheEnd(used, exited);
  const { python } = await Promise.race([used, rejectedBy(signal)]);
  return python;
}

async function releaseAtTheEnd(
  using: Promise<UsedPython>,
  exited: Promise<unknown>,
): Promise<void> {
  const used = await using.catch(() => undefined);
  await exited;
  used?.release();
}

/** The descriptors that a command gets, and the agent's ends of them. */
import type { ChildProcess, StdioOptions } from "node:child_process";

/** Where a command that was given a channel finds it: a socket, or a pipe to read and, as the next one, one to write. */
export const CHANNEL_DESCRIPTOR = 4;

/** The descriptor whose other end the agent holds: it closes when the agent is gone. */
export const AGENT_DESCRIPTOR = 3;

/** Output is read by the agent. */
export function stdioOf(withChannel: boolean): StdioOptions {
  return ["ignore", "pipe", "pipe", "pipe", withChannel ? "pipe" : "ignore"];
}

/** A child's pipes: none where it could not be started, for which Node's types have no word. */
export function pipesOf(
  child: ChildProcess | undefined,
): readonly (ChildProcess["stdio"][number] | undefined)[] {
  const pipes: ChildProcess["stdio"] | undefined = child?.stdio;
  return pipes ?? [];
}

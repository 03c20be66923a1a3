/**
 * A command that runs with everything it starts, as process-group.ts sees it. Two ways start one: supervised-command.ts,
 * whose end is certain, and watched-command.ts, for machines without the means.
 */
import type { ChildProcess } from "node:child_process";
import type { Readable, Writable } from "node:stream";

import type { AppUser } from "../app-user.ts";
import type { ExitInfo } from "./exit-info.ts";
import type { SpareSupervisor } from "./spare-supervisor.ts";

export interface LaunchOptions {
  readonly command: readonly string[];
  readonly directory: string;
  readonly environment: Readonly<Record<string, string>>;
  /** Runs the command; without one the agent's own user does. */
  readonly user?: AppUser | undefined;
  /** A variable of the environment that no other command has: it finds processes that left the group. */
  readonly markedBy: string;
  /** Run by the supervisor when the agent is gone, in its place. No words, no command. The limit is in seconds. */
  readonly stopCommand?: { readonly command: readonly string[]; readonly limit: number };
  /** Opens a channel to the command: its `CHANNEL_DESCRIPTOR`. */
  readonly withChannel?: boolean;
  /** The next agent may take it over, where this machine has the means. */
  readonly isLeavable?: boolean;
  /** Has a supervisor that was started in advance, perhaps. */
  readonly spares?: SpareSupervisor | undefined;
}

/** The agent's ends of what a command was given. */
export interface CommandPipes {
  readonly stdout: Readable;
  readonly stderr: Readable;
  readonly channel: CommandChannel | undefined;
}

export interface CommandChannel {
  readonly reads: Readable;
  readonly writes: Writable;
}

/** The supervisor's descriptors of what its command was given. */
export interface PipeNumbers {
  readonly out: number;
  readonly err: number;
  readonly channel?: { readonly to: number; readonly from: number } | undefined;
}

/** By which the next agent speaks to a supervisor, and takes over its command. */
export interface LeftDescriptors extends PipeNumbers {
  /** The supervisor's inner process, which has them. */
  readonly pid: number;
  readonly commands: number;
  readonly reports: number;
}

export interface LaunchedCommand {
  /** Undefined where an earlier agent started it. */
  readonly child: ChildProcess | undefined;
  /** The number of the supervisor's outer process; undefined where there is none. */
  readonly supervisor: number | undefined;
  /** Besides those of the child; undefined where it has none. */
  readonly pipes: Promise<CommandPipes | undefined>;
  /** The command's first process, which is the number of its group. Undefined where nothing could be started. */
  readonly started: Promise<number | undefined>;
  /** How that process ended; others of its group may still be there. */
  readonly leaderExited: Promise<ExitInfo>;
  /** Resolves when nothing of it runs any more, as far as this machine tells. */
  readonly gone: Promise<void>;
  /** To every process of the group. */
  signal(signal: NodeJS.Signals): void;
  /** Ends everything, wherever it has gone. */
  kill(): void;
  /** As `SupervisorConnection.linger`; absent where nothing could do that. */
  linger?(seconds: number, key: string): Promise<LeftDescriptors | undefined>;
}

/** Exit codes of a shell for what can't be run and for what is not there (POSIX, 2.8.2). */
export const NOT_EXECUTABLE = 126;
export const NOT_FOUND = 127;
/** EX_OSERR of sysexits.h: the system has no descriptor, process or memory left. */
const NO_RESOURCES = 71;

/** Errors of spawn() that the next start would meet too: the directory is missing or closed. */
const PERMANENT_ERRORS: ReadonlySet<string | undefined> = new Set(["ENOENT", "EACCES", "ENOTDIR"]);

/** The end of a command that could not be started. */
export function exitOfError({ code }: NodeJS.ErrnoException): ExitInfo {
  return { code: PERMANENT_ERRORS.has(code) ? NOT_FOUND : NO_RESOURCES, signal: null };
}

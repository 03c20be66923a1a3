/** Finds the program that supervises commands on this machine: perl, which starts in 2 ms, else python3, in 15. */
import { type ChildProcess, spawn } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Observer } from "../../base/observer.ts";
import { stdioOf } from "./command-descriptors.ts";

export interface CommandSupervisor {
  readonly program: "perl" | "python3";
  /** The words before those of the command. */
  readonly command: readonly string[];
}

/** prctl, setsid and dup3 in the kernel's tables of system calls. */
const SYSTEM_CALLS: Partial<Record<NodeJS.Architecture, readonly [number, number, number]>> = {
  x64: [157, 112, 292],
  arm64: [167, 157, 24],
};

const scriptOf = (name: string): string => fileURLToPath(new URL(name, import.meta.url));

/** The faster one first. Options that keep the environment from changing what the interpreter does. */
const PROGRAMS = [
  { program: "perl", words: ["-C0", scriptOf("supervise.pl")] },
  { program: "python3", words: ["-I", "-S", scriptOf("supervise.py")] },
] as const;

/** The system's own first: those of an environment may be wrappers that start slowly. */
const SYSTEM_FOLDERS = ["/usr/bin", "/bin", "/usr/local/bin"];

interface Machine {
  readonly platform: NodeJS.Platform;
  readonly arch: NodeJS.Architecture;
  readonly path: string;
  readonly isExecutable: (file: string) => boolean;
}

const HERE: Machine = {
  platform: process.platform,
  arch: process.arch,
  path: process.env["PATH"] ?? "",
  isExecutable,
};

/** Undefined where the machine is no Linux, or has neither program. */
export function findSupervisor(machine: Partial<Machine> = {}): CommandSupervisor | undefined {
  return supervisorsOf(machine)[0];
}

/** All that the machine has, the fastest one first. */
export function supervisorsOf(machine: Partial<Machine> = {}): CommandSupervisor[] {
  const { platform, arch, path, isExecutable: exists } = { ...HERE, ...machine };
  const calls = SYSTEM_CALLS[arch];
  if (platform !== "linux" || calls === undefined) return [];
  const folders = [...SYSTEM_FOLDERS, ...path.split(delimiter)].filter((folder) => folder !== "");
  return PROGRAMS.flatMap(({ program, words }) => {
    const found = folders.map((folder) => join(folder, program)).find(exists);
    if (found === undefined) return [];
    return { program, command: [found, ...words, ...calls.map(String)] };
  });
}

/** Starts one, which waits for its task. */
export function startSupervisor(
  { command: [program = "", ...words] }: CommandSupervisor,
  withChannel: boolean,
): ChildProcess {
  return spawn(program, words, {
    cwd: "/",
    env: {},
    // The terminal's Ctrl-C is for the agent.
    detached: true,
    stdio: stdioOf(withChannel),
  });
}

/** Those that were told that this machine has no supervisor. */
const told = new WeakSet<Observer>();

/** Once, since it is the same for all containers. */
export function sayUnsupervised(observer: Observer): void {
  if (told.has(observer)) return;
  told.add(observer);
  observer.notice(
    "warning: neither perl nor python3 is here to supervise containers: a process that leaves its group and changes its environment may outlive its container",
  );
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

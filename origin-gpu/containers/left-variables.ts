/**
 * Compares the variables of a container that an earlier agent left running with those that this agent would start it with.
 * Secrets are among them, and never go to the disk: it has a seal of each, whose key only the container's supervisor has.
 */
import { createHmac, randomBytes } from "node:crypto";

export type ContainerVariables = Readonly<Record<string, string>>;

/** 16 bytes of a SHA-256, as text. */
const SEAL_CHARACTERS = 22;

/** These are others at each start of an agent, and mean nothing to an app: systemd, shells, terminals and npm set them. */
const OF_ONE_START =
  /^(?:INVOCATION_ID|JOURNAL_STREAM|SYSTEMD_EXEC_PID|MAINPID|MANAGERPID|NOTIFY_SOCKET|(?:LISTEN|WATCHDOG|MEMORY_PRESSURE|SSH|TERM|TMUX|XDG_SESSION|npm)_\w+|DBUS_SESSION_BUS_ADDRESS|COLORTERM|COLUMNS|LINES|TERM|TMUX|STY|WINDOWID|INIT_CWD|NODE|PWD|OLDPWD|SHLVL|_)$/;

/** A container has these by its number, its port and its cards, which it keeps. */
const OF_ONE_CONTAINER: ReadonlySet<string> = new Set([
  "POSTERN_CONTAINER_ID",
  "PORT",
  "CUDA_VISIBLE_DEVICES",
  "CUDA_DEVICE_ORDER",
]);

/** A newer Postern may give variables that an older one did not. */
const OWN = /^POSTERN_/;

export function newSealKey(): string {
  return randomBytes(32).toString("base64url");
}

/** @returns the seals by name */
export function sealVariables(variables: ContainerVariables, key: string): ContainerVariables {
  const compared = Object.entries(variables).filter(([name]) => isCompared(name));
  return Object.fromEntries(compared.map(([name, value]) => [name, sealOf(name, value, key)]));
}

/** @returns the name of a variable that is another one now, is missing or is new; undefined where there is none */
export function changedVariable(
  sealed: ContainerVariables,
  variables: ContainerVariables,
  key: string,
): string | undefined {
  const now = sealVariables(variables, key);
  const names = Object.keys({ ...sealed, ...now }).filter(isCompared);
  return names.find((name) => {
    if (sealed[name] === undefined && OWN.test(name)) return false;
    return sealed[name] !== now[name];
  });
}

function isCompared(name: string): boolean {
  return !OF_ONE_CONTAINER.has(name) && !OF_ONE_START.test(name);
}

function sealOf(name: string, value: string, key: string): string {
  return createHmac("sha256", key)
    .update(`${name}=${value}`)
    .digest("base64url")
    .slice(0, SEAL_CHARACTERS);
}

/**
 * Opens pipes that another process has open, by /proc: so the agent reads a container's output from pipes of its
 * supervisor, and so does the next agent. Linux alone, and for processes of the same user or for root.
 */
import { constants, openSync } from "node:fs";
import { Socket } from "node:net";
import type { Readable, Writable } from "node:stream";

/** @throws the system's error where there is no such pipe, or it can't be opened */
export function readPipe(pid: number, descriptor: number): Readable {
  const fd = openPipe(pid, descriptor, constants.O_RDONLY);
  return new Socket({ fd, readable: true, writable: false });
}

/** @throws as `readPipe` */
export function writePipe(pid: number, descriptor: number): Writable {
  const fd = openPipe(pid, descriptor, constants.O_WRONLY);
  return new Socket({ fd, readable: false, writable: true });
}

/** Whichever end the process has. The opener's blocking is its own. */
function openPipe(pid: number, descriptor: number, access: number): number {
  return openSync(`/proc/${pid}/fd/${descriptor}`, access | constants.O_NONBLOCK);
}

/**
 * Writing to stderr without blocking the process. Node's own stream blocks on a terminal while the reader has stopped
 * (Ctrl-S), and with it every request of this process. It blocks on a pipe, too, once a child has inherited that: a
 * start of a child makes what it inherits blocking for all that share it. So both get a descriptor of their own.
 */
import { constants, fstatSync, openSync, writeSync } from "node:fs";
import { Socket } from "node:net";
import { codeOf } from "./failure.ts";
import type { WriteText } from "../base/node/line-writer.ts";

/** How often a terminal that takes nothing is tried again: nothing tells when it does. */
const TERMINAL_RETRY_MS = 50;

export function stderrWriter(): WriteText {
  const isPipe = fstatSync(2).isFIFO();
  const descriptor = isPipe || process.stderr.isTTY ? openAgain() : undefined;
  if (descriptor === undefined) return toStream(process.stderr);
  if (!isPipe) return (text, onTaken) => writeAll(descriptor, Buffer.from(text), onTaken);
  const pipe = new Socket({ fd: descriptor, readable: false, writable: true });
  // A pipe whose reader has gone takes no more lines, and ends nothing.
  pipe.on("error", () => undefined);
  return toStream(pipe);
}

function toStream(stream: NodeJS.WritableStream): WriteText {
  return (text, onTaken) => void stream.write(text, () => onTaken());
}

/**
 * Opens the terminal or pipe once more, not blocking. The flag belongs to the new opening alone: on the descriptor that
 * we were given it would hold for the shell too.
 */
function openAgain(): number | undefined {
  try {
    const { O_WRONLY, O_NONBLOCK, O_NOCTTY } = constants;
    return openSync("/proc/self/fd/2", O_WRONLY | O_NONBLOCK | O_NOCTTY);
  } catch {
    // Not Linux, or of another user (su).
    return undefined;
  }
}

function writeAll(descriptor: number, bytes: Buffer, onTaken: () => void): void {
  let written = 0;
  try {
    written = writeSync(descriptor, bytes);
  } catch (error) {
    // A terminal that has gone takes no more lines, and ends nothing: SIGHUP does.
    if (codeOf(error) !== "EAGAIN") return onTaken();
  }
  if (written === bytes.length) return onTaken();
  setTimeout(() => writeAll(descriptor, bytes.subarray(written), onTaken), TERMINAL_RETRY_MS);
}

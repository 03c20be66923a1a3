/**
 * Writing to stderr without blocking the process. Node's own stream is asynchronous for pipes and sockets. On
 * a terminal it blocks while the reader has stopped (Ctrl-S), and with it every request of this process, so a
 * terminal gets a descriptor of its own.
 */
import { constants, openSync, writeSync } from "node:fs";
import { codeOf } from "./failure.ts";
import type { WriteText } from "../base/node/line-writer.ts";

/** How often a terminal that takes nothing is tried again: nothing tells when it does. */
const TERMINAL_RETRY_MS = 50;

export function stderrWriter(): WriteText {
  const descriptor = process.stderr.isTTY ? openTerminal() : undefined;
  if (descriptor === undefined) {
    return (text, onTaken) => void process.stderr.write(text, () => onTaken());
  }
  return (text, onTaken) => writeAll(descriptor, Buffer.from(text), onTaken);
}

/**
 * Opens the terminal once more, not blocking. The flag belongs to the new opening alone: on the descriptor that
 * we were given it would hold for the shell too.
 */
function openTerminal(): number | undefined {
  try {
    const { O_WRONLY, O_NONBLOCK, O_NOCTTY } = constants;
    return openSync("/proc/self/fd/2", O_WRONLY | O_NONBLOCK | O_NOCTTY);
  } catch {
    // Not Linux, or a terminal of another user (su).
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

/**
 * Bounds what the kernel takes of a response before it can send it. Without a bound a client that does not read holds
 * megabytes of this machine's memory. Connections inherit the option of the socket that accepts them. Node can't set
 * it, so a program of another language does.
 */
import { spawnSync } from "node:child_process";

/** Beyond what its client's window takes. */
const UNSENT_BYTES = 128 * 1024;

/** A program that is late is left out: the gateway starts without the bound. */
const PATIENCE_MS = 5_000;

/** `TCP_NOTSENT_LOWAT` of Linux (tcp(7)). */
const OPTION = { level: 6, name: 25 };

const PROGRAMS = [
  [
    "perl",
    "-e",
    `open(my $socket, "+<&=", 3) or die; setsockopt($socket, ${OPTION.level}, ${OPTION.name}, pack("i", ${UNSENT_BYTES})) or die;`,
  ],
  [
    "python3",
    "-c",
    `import socket; socket.socket(fileno=3).setsockopt(${OPTION.level}, ${OPTION.name}, ${UNSENT_BYTES})`,
  ],
] as const;

const UNLIMITED =
  "warning: neither perl nor python3 could limit what the kernel holds for a client that does not read: megabytes each, instead of 128 KiB";

/** Sets the bound, or says that none of the programs is here. Without them the gateway works as well, and holds more. */
export function limitUnsent(fd: number, notice: (line: string) => void): void {
  if (process.platform !== "linux") return;
  const isLimited = PROGRAMS.some(([program, ...words]) => {
    const { status } = spawnSync(program, words, {
      stdio: ["ignore", "ignore", "ignore", fd],
      timeout: PATIENCE_MS,
      killSignal: "SIGKILL",
    });
    return status === 0;
  });
  if (!isLimited) notice(UNLIMITED);
}

/** Directories and ports that belong to one test process and leave nothing behind. */
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

const directories: string[] = [];
process.once("exit", () => {
  for (const directory of directories) rmSync(directory, { recursive: true, force: true });
});
// Vitest ends its workers by a signal, after which Node tells nobody of the exit.
process.once("SIGTERM", () => process.exit(143));

/** A fresh directory, removed when the test process ends. */
export function temporaryDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), "postern-test-"));
  directories.push(directory);
  return directory;
}

/** Below the ports that systems give to outgoing connections, and beside those of containers. */
const FIRST_PORT = 10_000;
const PORTS = 10_000;

/**
 * A loopback port that nobody listens on now. No outgoing connection gets it before it is used, and test files that
 * run at the same time look for theirs at random.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = FIRST_PORT + Math.floor(Math.random() * PORTS);
    if (await isFree(port)) return port;
  }
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  return await new Promise((resolve) => {
    server.once("error", () => resolve(false));
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
  });
}

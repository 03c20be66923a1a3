/**
 * Starts the demo app as its own process on a free port, and listens to what it logs.
 */
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const SERVER = fileURLToPath(new URL("../../origin-gpu/examples/demo/server.ts", import.meta.url));

export interface Demo {
  readonly url: string;
  /** Resolves at the next line that matches. */
  readonly logged: (pattern: RegExp) => Promise<string>;
  readonly exited: Promise<number | null>;
  readonly terminate: () => void;
  readonly kill: () => void;
}

/** Rejects with "exit CODE: OUTPUT" when the process ends before it listens. */
export async function startDemo(env: Record<string, string>): Promise<Demo> {
  const child = spawn(process.execPath, [SERVER], {
    env: { ...process.env, PORT: "0", ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const output: string[] = [];
  const waiting = new Set<{ pattern: RegExp; resolve: (line: string) => void }>();
  for (const stream of [child.stdout, child.stderr])
    createInterface(stream).on("line", (line) => {
      output.push(line);
      for (const waiter of waiting)
        if (waiter.pattern.test(line) && waiting.delete(waiter)) waiter.resolve(line);
    });
  const logged = (pattern: RegExp) =>
    new Promise<string>((resolve) => waiting.add({ pattern, resolve }));
  const exited = new Promise<number | null>((resolve) => child.once("close", resolve));

  const listening = logged(/answers at/);
  const died = exited.then((code) => {
    throw new Error(`exit ${code}: ${output.join("\n")}`);
  });
  const line = await Promise.race([listening, died]);
  died.catch(() => undefined);
  return {
    url: line.split(" ").at(-1) ?? "",
    logged,
    exited,
    terminate: () => child.kill("SIGTERM"),
    kill: () => child.kill("SIGKILL"),
  };
}

/** Starts an app as somebody would by hand: the command itself, dialled until it listens, and asked directly. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { connect } from "node:net";
import { delimiter, dirname } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { Address } from "../support/http-client.ts";
import { freePort } from "../support/temporary.ts";

/** Between two dials. Each costs the app nothing. */
const DIAL_EVERY_MS = 1;

export interface StartedByHand {
  readonly address: Address;
  end(): Promise<void>;
}

/** @param command it gets its port in `PORT`, and these variables. Resolves when it listens. */
export async function startByHand(
  command: readonly string[],
  environment: Readonly<Record<string, string>> = {},
): Promise<StartedByHand> {
  const port = await freePort();
  const [program = "", ...words] = command;
  const path = [dirname(process.execPath), process.env["PATH"]].join(delimiter);
  const app = spawn(program, words, {
    env: { ...process.env, ...environment, PATH: path, PORT: `${port}` },
    stdio: "ignore",
  });
  await listening(port, app);
  return {
    address: { port, host: "127.0.0.1" },
    end: async () => {
      const ended = once(app, "exit");
      app.kill("SIGKILL");
      await ended;
    },
  };
}

async function listening(port: number, app: ChildProcess): Promise<void> {
  for (;;) {
    const socket = connect({ port, host: "127.0.0.1" });
    const taken = await once(socket, "connect").then(
      () => true,
      () => false,
    );
    socket.destroy();
    if (taken) return;
    if (app.exitCode !== null) throw new Error(`the app ended with ${app.exitCode}`);
    await delay(DIAL_EVERY_MS);
  }
}

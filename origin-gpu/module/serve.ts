/**
 * Serves a TypeScript app for the Postern agent, by Postern's own Node, in a process of its own.
 *
 *     serve.ts --port PORT [--stop-signal SIGNAL] [--exit-grace-period SECONDS] [--channel DESCRIPTOR] FILE
 *
 * The file is relative to the working directory; Node runs its TypeScript as it stands, without the types. A mistake of
 * the user's ends in one line "postern: …" on stderr and exit code 1, with the stack of the user's own code.
 */
import { setTimeout as after } from "node:timers/promises";
import { parseArgs } from "node:util";

import { openChannel } from "./agent-channel.ts";
import { ModuleServer } from "./module-server.ts";
import { CallsAtWork } from "./calls-at-work.ts";
import { Lifespan } from "./lifespan.ts";
import { loadApp } from "./load-app.ts";
import { report } from "./report.ts";

/** Of the grace period, what calls get to finish; the rest is for the app's own lifespan shutdown. */
const SHARE_OF_GRACE_FOR_CALLS = 0.75;
/** For calls to end that see a disconnect. */
const DISCONNECT_MS = 500;
const SECOND_MS = 1000;

const { values, positionals } = parseArgs({
  options: {
    port: { type: "string", default: "8000" },
    "stop-signal": { type: "string", default: "SIGTERM" },
    "exit-grace-period": { type: "string", default: "30" },
    channel: { type: "string" },
  },
  allowPositionals: true,
});
// The app's own parsers find no arguments of ours.
process.argv.splice(2);

interface Running {
  readonly server: ModuleServer;
  readonly calls: CallsAtWork;
  readonly lifespan: Lifespan;
}

// At once: Node would take SIGUSR1 for the wish to debug it.
const stopped = untilStopped();
process.exit(await serve());

/** @returns the exit code */
async function serve(): Promise<number> {
  const running = await Promise.race([start(), stopped]);
  if (typeof running === "string") return running === "failed" ? 1 : 0;
  await stopped;
  const { server, calls, lifespan } = running;
  server.stop();
  await Promise.race([calls.none(), after(graceMs())]);
  server.breakOff();
  await Promise.race([calls.none(), after(DISCONNECT_MS)]);
  const failure = await lifespan.shutdown();
  if (failure === undefined) return 0;
  report(`the app failed to shut down: ${failure}`);
  return 1;
}

async function start(): Promise<Running | "failed"> {
  const app = await loadApp(positionals[0] ?? "");
  if (app === undefined) return "failed";
  const lifespan = new Lifespan();
  const failure = await lifespan.startup(app);
  if (failure !== undefined) {
    report(`the app failed to start: ${failure}`);
    return "failed";
  }
  const channel = openChannel(values.channel === undefined ? undefined : Number(values.channel));
  const calls = new CallsAtWork(channel.tell);
  channel.onLine((call) => calls.giveUp(call));
  const server = new ModuleServer(app, lifespan.state, calls);
  await server.listen(Number(values.port));
  return { server, calls, lifespan };
}

async function untilStopped(): Promise<"stopped"> {
  // SIGKILL can't be waited for.
  const signals = new Set(["SIGTERM", "SIGINT", values["stop-signal"]]);
  signals.delete("SIGKILL");
  const { promise, resolve } = Promise.withResolvers<"stopped">();
  // For good: a signal that comes twice would else end the process the second time.
  for (const signal of signals) process.on(signal, () => resolve("stopped"));
  return await promise;
}

function graceMs(): number {
  return Number(values["exit-grace-period"]) * SHARE_OF_GRACE_FOR_CALLS * SECOND_MS;
}

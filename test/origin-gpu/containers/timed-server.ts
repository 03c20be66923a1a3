/**
 * A server on the port of its argument whose parent tells it by messages when to listen, to be healthy and to close. It
 * says when it did so. Until it is healthy it answers 503.
 */
import { createServer } from "node:http";
import { monitorEventLoopDelay } from "node:perf_hooks";

export type TimedServerStep = "listen" | "heal" | "close";

export interface TimedServerReport {
  readonly atMs: number;
  /** The longest time since its last report for which others kept this process from its work. */
  readonly delayMs: number;
}

let isHealthy = false;
const delays = monitorEventLoopDelay({ resolution: 1 });
delays.enable();
const server = createServer((_, response) => {
  response.writeHead(isHealthy ? 200 : 503, { connection: "close" }).end();
});

function report(): void {
  const told: TimedServerReport = { atMs: Date.now(), delayMs: delays.max / 1e6 };
  delays.reset();
  process.send?.(told);
}

process.on("message", (step: TimedServerStep) => {
  switch (step) {
    case "listen":
      isHealthy = false;
      server.listen(Number(process.argv[2]), "127.0.0.1", report);
      break;
    case "heal":
      isHealthy = true;
      report();
      break;
    case "close":
      server.close(report);
  }
});

/** An agent's start that meets a fault while it waits for its gateway. */
import { Observer } from "../../base/observer.ts";
import { startAgentUnlessStopped } from "../../cli/agent.ts";

const never = new Promise<never>(() => undefined);

void startAgentUnlessStopped(
  {
    // Nobody listens there.
    gatewayUrl: "http://127.0.0.1:9",
    enrolment: { workspace: "tests", box: "box", serial: "s", key: "k", audience: "a" },
    observer: new Observer({ sinks: [], now: Date.now }),
  },
  { asked: never, insisted: never, isHandOver: () => false },
);
setTimeout(() => void Promise.reject(new Error("a promise without an owner")), 100);
setTimeout(() => {
  console.log("still starting");
  process.exit(0);
}, 300);

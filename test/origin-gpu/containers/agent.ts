/**
 * An agent's container in a process of its own, so that a test can kill it: runs the server with the flags
 * it is given, prints what the server prints, and "ready" when it is.
 */
import { startContainer } from "../../../origin-gpu/containers/start-container.ts";
import { serverEndpoint, plainPython, listening } from "./endpoint.ts";

const container = startContainer({
  endpoint: serverEndpoint(process.argv.slice(2)),
  environment: {},
  usePython: plainPython,
  ...listening((line) => console.log(line)),
});
await container.ready;
console.log("ready");
setInterval(() => undefined, 1000);

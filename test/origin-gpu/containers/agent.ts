/**
 * An agent's container in a process of its own, so that a test can kill it: runs the server with the flags
 * it is given, prints what the server prints, and "ready" when it is.
 */
import { createContainerPool } from "../../../origin-gpu/containers/pool.ts";
import { serverEndpoint, plainPython, listening } from "./endpoint.ts";

const pool = createContainerPool({
  endpoint: serverEndpoint(process.argv.slice(2)),
  environment: {},
  usePython: plainPython,
  ...listening((line) => console.log(line)),
});
await pool.acquire();
console.log("ready");
setInterval(() => undefined, 1000);

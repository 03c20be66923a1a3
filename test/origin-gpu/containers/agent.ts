/**
 * An agent's container in a process of its own, so that a test can kill it: runs the server with the flags
 * it is given, prints what the server prints, and "ready" when it is. The variable STOP_COMMAND is its stop_command,
 * and RECORDS the directory of its process records. On SIGUSR2 it leaves the container to the next agent, with a session
 * whose key is "x-session=a-secret".
 */
import { ProcessRecords } from "../../../origin-gpu/containers/process-records.ts";
import { startContainer } from "../../../origin-gpu/containers/start-container.ts";
import { serverEndpoint, plainPython, listening } from "./endpoint.ts";

const directory = process.env["RECORDS"];
const container = startContainer({
  endpoint: serverEndpoint(process.argv.slice(2), {
    stopCommand: (process.env["STOP_COMMAND"] ?? "").split(" ").filter((word) => word !== ""),
  }),
  environment: {},
  usePython: plainPython,
  leavable: { endpoint: "main/shop/web", version: 1, claim: { cards: [] } },
  records:
    directory === undefined
      ? undefined
      : await ProcessRecords.open({ directory, notice: console.log }),
  ...listening((line) => console.log(line)),
});
process.once("SIGUSR2", () => {
  const sessions = [{ idleMs: 0, keys: ["x-session=a-secret"] }];
  void container
    .leave({ sessions, ofTheBox: [] })
    .then((problem) => console.log(`left: ${problem ?? "it runs on"}`));
});
await container.ready;
console.log("ready");
setInterval(() => undefined, 1000);

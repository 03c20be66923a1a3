/**
 * An agent as the first process of its machine, to which the kernel gives processes that lost their parent. It starts
 * and stops a container whose processes go away in every manner, and prints the numbers of what is left: `left: 1`.
 */
import { processes } from "../../../origin-gpu/containers/linux-processes.ts";
import { startContainer } from "../../../origin-gpu/containers/start-container.ts";
import { endpointConfig, HERE, listening, plainPython } from "./endpoint.ts";

const script = [
  // Ends by itself, and nobody waits for it.
  "(sh -c : &)",
  'setsid sh -c "env -i sleep 1000 &"',
  `exec node ${HERE}server.ts --child stranger`,
].join("; ");

const container = startContainer({
  endpoint: endpointConfig({
    kind: { type: "web_server", command: ["sh", "-c", script] },
    exitGracePeriod: 0.2,
  }),
  environment: {},
  usePython: plainPython,
  ...listening((line) => console.log(line)),
});
await container.ready;
await container.stop();
console.log(`left: ${processes().join(", ")}`);

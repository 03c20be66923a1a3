/** `postern gateway` with the Worker of fault-injecting tests (test/gateway/faulty-worker.ts). */
import { parseArguments } from "../../cli/arguments.ts";
import { GATEWAY } from "../../cli/commands/gateway.ts";
import { startGateway } from "../../cli/gateway/gateway.ts";
import { gatewaySettings } from "../../cli/gateway/settings.ts";
import { observer } from "../../cli/observer.ts";
import { listenForStop } from "../../cli/stop-signals.ts";

const { values } = parseArguments(GATEWAY.description, process.argv.slice(2));
const stop = listenForStop();
const worker = "test/gateway/faulty-worker.ts";
const gateway = await startGateway(gatewaySettings(values, process.env), observer, worker);
console.log(gateway.url);
await stop.asked;
await gateway.stop();

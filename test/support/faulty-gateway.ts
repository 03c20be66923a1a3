/**
 * `postern gateway` with the Worker of fault-injecting tests (test/gateway/faulty-worker.ts). With MANY_ISOLATES in
 * its environment, Worker and objects share no memory, as on Cloudflare. POSTERN_POOL_LEASE is how many seconds a box
 * has its shares of pools; POSTERN_DOMAIN_TIMES, the seconds between two questions about a custom domain and those of
 * grace for its proof, as `2/6`. POSTERN_CLOUDFLARE_API, _ZONE and _TOKEN say where custom hostnames are.
 */
import { parseArguments } from "../../cli/arguments.ts";
import { GATEWAY } from "../../cli/commands/gateway.ts";
import { startGateway } from "../../cli/gateway/gateway.ts";
import { gatewaySettings } from "../../cli/gateway/settings.ts";
import { observer } from "../../cli/observer.ts";
import { listenForStop } from "../../cli/stop-signals.ts";

const { values } = parseArguments(GATEWAY.description, process.argv.slice(2));
const stop = listenForStop();
const worker = "test/gateway/faulty-worker.ts";
const settings = gatewaySettings(values, process.env);
const { MANY_ISOLATES, POSTERN_POOL_LEASE, POSTERN_DOMAIN_TIMES } = process.env;
const cloudflare = Object.entries(process.env).filter(([name]) =>
  name.startsWith("POSTERN_CLOUDFLARE_"),
) as [string, string][];
const variables = {
  ...settings.variables,
  ...(MANY_ISOLATES !== undefined && { POSTERN_ONE_ISOLATE: "0" }),
  ...(POSTERN_POOL_LEASE !== undefined && { POSTERN_POOL_LEASE }),
  ...(POSTERN_DOMAIN_TIMES !== undefined && { POSTERN_DOMAIN_TIMES }),
  ...Object.fromEntries(cloudflare),
};
const gateway = await startGateway({ ...settings, variables }, observer, worker);
console.log(gateway.url);
await stop.asked;
await gateway.stop();

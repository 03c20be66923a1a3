/** `postern gateway`: the gateway alone, until it is asked to end. */

import type { Command } from "../command.ts";
import { startGateway } from "../gateway/gateway.ts";
import { GATEWAY_OPTIONS, gatewaySettings } from "../gateway/settings.ts";
import { observer } from "../observer.ts";
import { printJson, printNotice, printResult } from "../output.ts";
import { listenForStop } from "../stop-signals.ts";

export const GATEWAY: Command<typeof GATEWAY_OPTIONS> = {
  description: {
    name: "gateway",
    summary: "Runs the gateway alone, on workerd, with its state in a directory.",
    positionals: [],
    options: GATEWAY_OPTIONS,
    noEnvironment: "a gateway serves every environment",
    notes: [
      "Ctrl-C lets answers finish for 10 s, then ends; a second one ends at once.",
      "Commands on this machine find it, and its workspace's first token, by --state.",
    ],
  },
  async run({ values }) {
    const stop = listenForStop();
    const gateway = await startGateway(gatewaySettings(values, process.env), observer);
    if (values.json === true) printJson({ url: gateway.url, state: gateway.statePath });
    else printResult(gateway.url);
    await stop.asked;
    printNotice("finishing what is under way; Ctrl-C again ends at once");
    const insisted = await Promise.race([
      gateway.stop().then(() => false),
      stop.insisted.then(() => true),
    ]);
    if (insisted) gateway.kill();
    return insisted ? 1 : 0;
  },
};

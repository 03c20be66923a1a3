/**
 * The round trip of `remote` of the Python package, beside a bare HTTP request to the same function through the same
 * gateway. One caller makes both in turn. Prints the medians and their ratio. `node test/bench/remote-calls.ts`
 */
import { join } from "node:path";

import { APPS, startCommand, startGateway } from "../support/harness.ts";
import { activeVenv } from "../support/python-app.ts";

const gateway = await startGateway({ flags: ["--rate-limit", "0"] });
try {
  const app = join(APPS, "remote_bench.py");
  const run = startCommand(["run", "--state", gateway.stateDirectory, app], {
    env: await activeVenv(),
  });
  const { code } = await run.exited;
  if (code !== 0) throw new Error(run.stderr);
  const { remote, bare } = JSON.parse(run.stdout) as { remote: number; bare: number };
  console.log(`remote ${remote.toFixed(2)} ms, bare request ${bare.toFixed(2)} ms`);
  console.log(`ratio ${(remote / bare).toFixed(2)}`);
} finally {
  await gateway.stop();
}

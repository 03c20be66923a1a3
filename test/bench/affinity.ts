/**
 * What affinity costs a warm request: the same request at endpoints without it and with it, in turns, and the CPU of
 * workerd and agent for each. A session is known here, as nearly all are.
 *
 *   node test/bench/affinity.ts [--rounds 10]
 */
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

import { startBox } from "../support/box.ts";
import { startGateway } from "../support/harness.ts";
import { send } from "../support/http-client.ts";
import { cpuSeconds, type ManagedProcess } from "../support/processes.ts";
import { temporaryDirectory } from "../support/temporary.ts";
import { load } from "./small-requests.ts";

const { values: flags } = parseArgs({ options: { rounds: { type: "string", default: "10" } } });
const REQUESTS_OF_A_ROUND = 2_000;
const APP = fileURLToPath(new URL("app.ts", import.meta.url));

/** Endpoints by their names, with the headers of a client that has a session there. */
const KINDS: Readonly<Record<string, { affinity: string; headers: Record<string, string> }>> = {
  none: { affinity: "none", headers: { "x-session": "one" } },
  header: { affinity: "header:x-session", headers: { "x-session": "one" } },
  cookie: { affinity: "cookie", headers: { "x-session": "one" } },
  llm: { affinity: "llm", headers: { "x-session": "one" } },
};

const gateway = await startGateway({ flags: ["--rate-limit", "0"] });
const started: ManagedProcess[] = [gateway.process];
try {
  const place = { gateway, throughPort: gateway.workerdPort, stateDirectory: temporaryDirectory() };
  const agent = await startBox(
    place,
    Object.entries(KINDS).map(([name, { affinity }]) => ({
      function: name,
      affinity,
      web_server: ["node", APP],
      max_inputs: 1_000,
      min_containers: 2,
      max_containers: 2,
    })),
  );
  started.push(agent);
  const cpu = new Map<string, { workerd: number; agent: number }>();
  const measure = async (name: string, isCounted: boolean): Promise<void> => {
    const { headers } = KINDS[name] as (typeof KINDS)[string];
    const address = { port: gateway.workerdPort, host: gateway.address(name).host };
    const before = [cpuSeconds([gateway.workerdPid]), cpuSeconds([agent.pid])] as const;
    await load(address, "/", REQUESTS_OF_A_ROUND, () => headers, 200);
    const sum = cpu.get(name) ?? { workerd: 0, agent: 0 };
    if (isCounted) {
      cpu.set(name, {
        workerd: sum.workerd + cpuSeconds([gateway.workerdPid]) - before[0],
        agent: sum.agent + cpuSeconds([agent.pid]) - before[1],
      });
    }
  };
  const names = Object.keys(KINDS);
  for (const name of names) {
    const { headers } = await send(gateway.address(name), "/");
    const [cookie] = headers["set-cookie"]?.[0]?.split(";") ?? [];
    if (cookie !== undefined) (KINDS[name] as (typeof KINDS)[string]).headers["cookie"] = cookie;
    await measure(name, false);
  }
  for (let round = 0; round < Number(flags.rounds); round += 1) {
    for (const name of round % 2 === 0 ? names : names.toReversed()) await measure(name, true);
  }
  for (const [name, used] of cpu) {
    const each = (seconds: number): string =>
      `${((seconds / Number(flags.rounds) / REQUESTS_OF_A_ROUND) * 1e6).toFixed(0)} µs`;
    console.log(`${name}: ${each(used.workerd)} of workerd, ${each(used.agent)} of the agent`);
  }
} finally {
  for (const one of started.toReversed()) one.killTree();
}

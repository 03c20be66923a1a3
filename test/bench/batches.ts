/**
 * The requests a second that 64 clients get from an app that takes as long for a list as for one element, with `batch`
 * and without. Prints both and their ratio. `node test/bench/batches.ts`
 */
import { join } from "node:path";
import { Pool } from "undici";

import { APPS, startUp } from "../support/harness.ts";

const CLIENTS = 64;
const SECONDS = 5;
const WORK_MS = 10;

interface Answer {
  readonly double: number;
}

async function rate(batch: boolean): Promise<number> {
  const postern = await startUp(
    [
      {
        function: "web",
        web_server: ["node", join(APPS, "list-server.ts")],
        env: { WORK_MS: `${WORK_MS}` },
        max_inputs: CLIENTS,
        ...(batch && { batch: { max_batch_size: CLIENTS / 2, wait_ms: 5 } }),
      },
    ],
    { flags: ["--rate-limit", "0"] },
  );
  const { port, host } = postern.address();
  const pool = new Pool(`http://127.0.0.1:${port}`, { connections: CLIENTS });
  const ask = async (n: number): Promise<void> => {
    const headers = { host, "content-type": "application/json" };
    const body = JSON.stringify({ n });
    const response = await pool.request({ method: "POST", path: "/", headers, body });
    const answer = (await response.body.json()) as Answer | [Answer];
    // Without batch the app answers by a list of one.
    const { double } = Array.isArray(answer) ? answer[0] : answer;
    if (double !== 2 * n) throw new Error(`wrong answer for ${n}: ${response.statusCode}`);
  };
  await ask(0);
  let answered = 0;
  const end = performance.now() + SECONDS * 1000;
  const clients = Array.from({ length: CLIENTS }, async (_, client) => {
    while (performance.now() < end) {
      await ask(client);
      answered += 1;
    }
  });
  await Promise.all(clients);
  await pool.close();
  await postern.stop();
  return answered / SECONDS;
}

const [without, withBatch] = [await rate(false), await rate(true)];
console.log(`without batch ${without.toFixed(0)}/s, with ${withBatch.toFixed(0)}/s`);
console.log(`ratio ${(withBatch / without).toFixed(1)}`);

/** Rate limits as clients meet them: at one gateway, and over two isolates that share a workspace's tokens. */
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";

import { writeDeployable } from "../support/deployable.ts";
import { ARE_ALL_REQUESTS } from "../support/e2e-way.ts";
import { startCommand, startUp, webServer } from "../support/harness.ts";
import { type Address, type Answer, send } from "../support/http-client.ts";
import { temporaryDirectory } from "../support/temporary.ts";
import { startTwoIsolates } from "../support/two-isolates.ts";

const stops: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0).toReversed()) await stop();
});

/** Sends requests one after the other, as fast as they are answered, on several lanes at once. */
async function flood(
  addresses: readonly Address[],
  isOver: (answers: readonly Answer[]) => boolean,
  path = "/",
): Promise<Answer[]> {
  const answers: Answer[] = [];
  const lane = async (address: Address) => {
    while (!isOver(answers)) answers.push(await send(address, path));
  };
  await Promise.all([...addresses, ...addresses, ...addresses].map(lane));
  return answers;
}

const passedOf = (answers: readonly Answer[]) => answers.filter(({ status }) => status !== 429);
const refusedOf = (answers: readonly Answer[]) => answers.filter(({ status }) => status === 429);

test("a gateway's rate limit and an endpoint's own refuse what is too much, and only that", async () => {
  const postern = await startUp([webServer(), webServer({ function: "slow", rate_limit: "1/5" })], {
    flags: ["--rate-limit", "20/2"],
  });
  stops.push(async () => await postern.stop());
  const isOver = (answers: readonly Answer[]) => refusedOf(answers).length >= 20;
  const ofEndpoint = await flood([postern.address("slow")], isOver);
  // Tokens that are on lease when they are wanted most come back with the lease's end.
  expect(passedOf(ofEndpoint).length).toBeGreaterThanOrEqual(ARE_ALL_REQUESTS ? 3 : 5);
  expect(refusedOf(ofEndpoint)[0]?.headers["ratelimit-policy"]).toBe('"endpoint";q=5;w=5');
  // Those that the endpoint's limit refused are not counted for the workspace: its burst is there.
  const beganAt = performance.now();
  const secondsSince = () => (performance.now() - beganAt) / 1000;
  // An isolate that leases tokens gets half of the rest of a burst, and asks for the other half 100 ms later.
  const leastSeconds = ARE_ALL_REQUESTS ? 0.5 : 0;
  const answers = await flood(
    [postern.address()],
    (soFar) => isOver(soFar) && secondsSince() > leastSeconds,
  );
  const seconds = secondsSince();
  const passed = passedOf(answers).length;
  expect(passed).toBeGreaterThanOrEqual(40 - 5);
  expect(passed).toBeLessThanOrEqual(40 + 20 * seconds + 1);
  const [refused] = refusedOf(answers);
  expect(refused?.json()).toMatchObject({ code: "rate_limited" });
  expect(refused?.headers).toMatchObject({
    "retry-after": "1",
    "ratelimit-policy": '"workspace";q=40;w=2',
    ratelimit: '"workspace";r=0;t=1',
  });
});

/** What they let through in any minute is simulated: test/routing/rate-limits.test.ts. */
test("two isolates together let no more than a workspace's rate and 5 % through, and use most of it", async () => {
  const gateway = await startTwoIsolates("tests", { POSTERN_RATE_LIMIT: "40/1" });
  stops.push(async () => await gateway.stop());
  const directory = join(temporaryDirectory(), "app");
  writeDeployable(directory, "limited", "ok", { web: {} });
  const served = startCommand(["serve"], { cwd: directory, env: gateway.env });
  stops.push(async () => {
    await served.stop("SIGINT");
  });
  const [url] = await served.waitForOutput(/^http:\S+$/m);
  const { host } = new URL(url);
  const addresses = [gateway.port, gateway.otherPort].map((port) => ({ port, host }));
  const beganAt = performance.now();
  const seconds = () => (performance.now() - beganAt) / 1000;
  const answers = await flood(addresses, () => seconds() > 8);
  const most = 40 + 40 * seconds();
  const passed = passedOf(answers).length;
  expect(refusedOf(answers).length).toBeGreaterThan(0);
  expect(passed).toBeLessThanOrEqual(most * 1.05);
  // A loaded machine may send fewer than the limit for a while.
  expect(passed).toBeGreaterThan(most * 0.7);
});

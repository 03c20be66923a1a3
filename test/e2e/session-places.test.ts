/** What becomes of sessions whose container is killed, or whose app gets a next version. */
import { join } from "node:path";
import { afterAll, beforeAll, expect, test, vi } from "vitest";

import { APPS, type EndpointTable } from "../support/harness.ts";
import { type Answer, send } from "../support/http-client.ts";
import { untilGone } from "../support/processes.ts";
import { READY_TIMEOUT_MS, TwoBoxes } from "../support/sessions/two-boxes.ts";

const SESSIONS = 12;
const CONTAINERS = 4;
const GRACE_S = 30;

/** What the app says. */
interface Counted {
  readonly place: string;
  readonly pid: number;
  readonly version: string;
  readonly count: number;
}

let boxes: TwoBoxes;
beforeAll(async () => {
  boxes = await TwoBoxes.start();
  await deploy();
});
afterAll(async () => await boxes.stop());

async function deploy(): Promise<void> {
  const base = {
    web_server: ["node", "counting-server.ts"],
    max_inputs: 100,
    min_containers: CONTAINERS,
    max_containers: CONTAINERS,
    exit_grace_period: GRACE_S,
  };
  const brief = { ...base, min_containers: 2, max_containers: 2, exit_grace_period: 1 };
  const endpoints: EndpointTable[] = [
    { ...base, function: "soft", affinity: "header:x-session" },
    { ...base, function: "hard", affinity: "header:x-session", affinity_mode: "hard" },
    { ...brief, function: "brief", affinity: "header:x-session" },
    { ...brief, function: "brief-hard", affinity: "header:x-session", affinity_mode: "hard" },
    { ...base, function: "mcp", affinity: ["mcp", "header:x-session"], affinity_mode: "hard" },
  ];
  await boxes.deploy([join(APPS, "counting-server.ts")], endpoints);
}

const sessionNames = (prefix: string) =>
  Array.from({ length: SESSIONS }, (_, number) => `${prefix}-${number}`);

async function ask(functionName: string, session: string): Promise<Answer> {
  return await send(boxes.address(functionName), "/", { headers: { "x-session": session } });
}

/** Asks once in each session; rejects where one is refused. */
async function askAll(
  functionName: string,
  sessions: readonly string[],
): Promise<Map<string, Counted>> {
  const answers = await Promise.all(
    sessions.map(async (session) => {
      const answer = await ask(functionName, session);
      expect(answer.status, answer.text).toBe(200);
      return [session, answer.json() as Counted] as const;
    }),
  );
  return new Map(answers);
}

async function readyContainers(functionName: string): Promise<Set<string>> {
  const ready = await boxes.containers(functionName, "ready");
  return new Set(ready.map(({ container }) => container));
}

/** Begins sessions, kills the container of the first one, and returns the sessions that it had and the others. */
async function sessionsOfKilled(
  functionName: string,
): Promise<{ killed: Counted; lost: string[]; kept: string[] }> {
  const sessions = sessionNames(functionName);
  const begun = await askAll(functionName, sessions);
  const killed = begun.get(sessions[0] ?? "") as Counted;
  const containers = await readyContainers(functionName);
  process.kill(killed.pid, "SIGKILL");
  await untilGone(killed.pid);
  // The agents' own look at their processes may be a moment later than ours.
  await vi.waitFor(async () => {
    const now = await readyContainers(functionName);
    expect(now.size).toBe(CONTAINERS);
    expect([...now].filter((container) => !containers.has(container))).toHaveLength(1);
  }, READY_TIMEOUT_MS);
  const isLost = (session: string) => begun.get(session)?.place === killed.place;
  return {
    killed,
    lost: sessions.filter(isLost),
    kept: sessions.filter((session) => !isLost(session)),
  };
}

test("sessions of a killed container go to another one and stay there; the client is told, others notice nothing", async () => {
  const { killed, lost, kept } = await sessionsOfKilled("soft");
  expect(lost.length).toBeGreaterThan(0);
  const places = new Map<string, string>();
  for (const session of lost) {
    const answer = await ask("soft", session);
    const { place, count } = answer.json() as Counted;
    expect({ status: answer.status, count, moved: answer.headers["postern-session"] }).toEqual({
      status: 200,
      count: 1,
      moved: "moved",
    });
    expect(place).not.toBe(killed.place);
    places.set(session, place);
  }
  for (const session of lost) {
    const answer = await ask("soft", session);
    expect(answer.json()).toMatchObject({ place: places.get(session), count: 2 });
    expect(answer.headers["postern-session"]).toBeUndefined();
  }
  for (const { count } of (await askAll("soft", kept)).values()) expect(count).toBe(2);
});

test.each([
  ["hard", 410],
  ["mcp", 404],
])(
  "in the mode hard its sessions are lost, and the clients are told: %s, %i",
  async (functionName, status) => {
    const { lost, kept } = await sessionsOfKilled(functionName);
    expect(lost.length).toBeGreaterThan(0);
    for (const session of [...lost, ...lost]) {
      const answer = await ask(functionName, session);
      expect(answer.status).toBe(status);
      expect(answer.text).toContain("session_lost");
    }
    for (const { count } of (await askAll(functionName, kept)).values()) expect(count).toBe(2);
    await askAll(functionName, ["another"]);
  },
);

test("a next version takes new sessions, and the old version keeps its own until the grace ends", async () => {
  const sessions = sessionNames("rolling");
  const begun = await askAll("soft", sessions);
  const version = begun.get(sessions[0] ?? "")?.version;
  const deployment = { isOver: false };
  const deployed = deploy().finally(() => {
    deployment.isOver = true;
  });
  // Awaited below, after the rounds.
  deployed.catch(() => undefined);
  let rounds = 0;
  const round = async () => {
    rounds += 1;
    for (const [session, { place, count }] of await askAll("soft", sessions)) {
      expect({ place, count }).toEqual({ place: begun.get(session)?.place, count: rounds + 1 });
    }
  };
  while (!deployment.isOver) await round();
  await deployed;
  const fresh = await askAll("soft", sessionNames("fresh"));
  for (const counted of fresh.values()) expect(counted.version).not.toBe(version);
  await round();
});

test("when the grace has ended, sessions of the old version move, or are lost in the mode hard", async () => {
  const sessions = sessionNames("brief");
  const begun = await askAll("brief", sessions);
  await askAll("brief-hard", sessions);
  await deploy();
  await Promise.all(
    sessions.map(async (session) => {
      // In the grace the old version answers still.
      const old = { ...begun.get(session) };
      let answer = await ask("brief", session);
      for (let count = 2; (answer.json() as Counted).version === old.version; count += 1) {
        expect(answer.json()).toEqual({ ...old, count });
        answer = await ask("brief", session);
      }
      expect(answer.json()).toMatchObject({ count: 1 });
      expect(answer.headers["postern-session"]).toBe("moved");
      const { place } = answer.json() as Counted;
      expect((await ask("brief", session)).json()).toMatchObject({ place, count: 2 });

      let hard = await ask("brief-hard", session);
      while (hard.status === 200) hard = await ask("brief-hard", session);
      expect({ status: hard.status, text: hard.text }).toEqual({
        status: 410,
        text: expect.stringContaining("session_lost") as string,
      });
      expect((await ask("brief-hard", session)).status).toBe(410);
    }),
  );
});

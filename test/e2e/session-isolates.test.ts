/**
 * Sessions over two boxes with two containers each, asked at two isolates that share no memory: each finds what the other
 * one placed, and both agree on a session that begins at both at once.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { stringify } from "smol-toml";
import { afterAll, beforeAll, expect, test, vi } from "vitest";

import { startCommand } from "../support/harness.ts";
import { type Address, send } from "../support/http-client.ts";
import type { ManagedProcess } from "../support/processes.ts";
import { temporaryDirectory } from "../support/temporary.ts";
import { startTwoIsolates, type TwoIsolates } from "../support/two-isolates.ts";

/** Keeps what it hands out in memory, and tells which container it is. */
const SERVER = `import { createServer } from "node:http";
import { randomUUID } from "node:crypto";

const jobs = new Set();
createServer((request, response) => {
  const [path] = request.url.split("?");
  const said = { container: process.pid, box: process.env.POSTERN_BOX };
  response.setHeader("content-type", "application/json");
  if (path === "/jobs") {
    said.id = randomUUID();
    jobs.add(said.id);
  } else if (path.startsWith("/jobs/") && !jobs.has(path.slice(6))) response.statusCode = 404;
  response.end(JSON.stringify(said));
}).listen(process.env.PORT, "127.0.0.1");
`;

interface Said {
  readonly container: number;
  readonly box: string;
  readonly id?: string;
}

let gateway: TwoIsolates;
const boxes: ManagedProcess[] = [];
beforeAll(async () => {
  gateway = await startTwoIsolates("tests");
  for (const name of ["s1", "s2"]) {
    const env = { ...gateway.env, HOME: temporaryDirectory() };
    const managed = startCommand(["origin", "--name", name], { env });
    boxes.push(managed);
    await managed.waitForErrorOutput(new RegExp(`${name} is connected`));
  }
  await deploy();
}, 240_000);
afterAll(async () => {
  await Promise.all(boxes.map((managed) => managed.stop()));
  await gateway.stop();
});

/** Two names of one app: with affinity and, to see that it is needed, without. */
async function deploy(): Promise<void> {
  const directory = join(temporaryDirectory(), "app");
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, "server.mjs"), SERVER);
  const pool = {
    web_server: ["node", "server.mjs"],
    boxes: ["s1", "s2"],
    max_inputs: 100,
    target_inputs: 1,
    min_containers: 4,
    max_containers: 4,
    startup_timeout: 60,
  };
  const affinity = ["learned:json:id", "query:s", "cookie"];
  const endpoint = [
    { function: "kept", ...pool, affinity },
    { function: "loose", ...pool },
  ];
  writeFileSync(join(directory, "postern.toml"), stringify({ app: "sessions", endpoint }));
  const managed = startCommand(["deploy", join(directory, "postern.toml")], { env: gateway.env });
  const { code } = await managed.exited;
  expect({ code, stderr: managed.stderr }).toMatchObject({ code: 0 });
  for (const name of ["kept", "loose"]) {
    // The edge knows both boxes, and each box has two containers.
    const seen = new Set<number>();
    await vi.waitFor(
      async () => {
        const turns = Array.from({ length: 16 }, (_, turn) => turn);
        const said = await Promise.all(turns.map(async (turn) => await askFor(name, turn, "/")));
        for (const { container } of said) seen.add(container);
        expect(seen.size).toBe(4);
      },
      { timeout: 90_000, interval: 200 },
    );
  }
}

/** @param turn an even one asks at one isolate, an odd one at the other */
function addressOf(name: string, turn: number): Address {
  const port = turn % 2 === 0 ? gateway.port : gateway.otherPort;
  return { port, host: `tests--sessions-${name}.localhost:${gateway.port}` };
}

async function askFor(name: string, turn: number, target: string): Promise<Said> {
  const answer = await send(addressOf(name, turn), target, { timeoutMs: 60_000 });
  expect(answer.status).toBe(200);
  return answer.json() as Said;
}

/** How many of 20 jobs another isolate does not find, each asked for twice. */
async function lostJobs(name: string): Promise<number> {
  const losses = await Promise.all(
    Array.from({ length: 20 }, async (_, turn) => {
      const { id = "" } = await askFor(name, turn, "/jobs");
      const statuses = [];
      for (const later of [turn + 1, turn]) {
        statuses.push((await send(addressOf(name, later), `/jobs/${id}`)).status);
      }
      return statuses.some((status) => status !== 200);
    }),
  );
  return losses.filter(Boolean).length;
}

test("an id that an app handed out is found from another isolate, which asks the boxes", async () => {
  expect(await lostJobs("kept")).toBe(0);
});

test("and is lost without affinity, so that this test can fail", async () => {
  expect(await lostJobs("loose")).toBeGreaterThan(0);
});

test("a session that begins at both isolates at once has one container", async () => {
  const sessions = Array.from({ length: 12 }, (_, session) => session);
  const places = await Promise.all(
    sessions.map(async (session) => {
      const said = await Promise.all(
        Array.from({ length: 4 }, async (_, turn) => await askFor("kept", turn, `/?s=${session}`)),
      );
      return [...new Set(said.map(({ box, container }) => `${box} ${container}`))];
    }),
  );
  expect(places.map(({ length }) => length)).toEqual(sessions.map(() => 1));
  // Sessions of one place each are over several places.
  expect(new Set(places.map(([place]) => place)).size).toBeGreaterThan(1);
});

test("a cookie leads from one isolate to what another one placed", async () => {
  for (let turn = 0; turn < 8; turn += 1) {
    const first = await send(addressOf("kept", turn), "/");
    const [line = ""] = [first.headers["set-cookie"] ?? ""].flat();
    const cookie = line.split(";", 1)[0] ?? "";
    expect(cookie).toMatch(/^postern_affinity=/);
    const again = await send(addressOf("kept", turn + 1), "/", { headers: { cookie } });
    expect(again.json()).toEqual(first.json());
    expect(again.headers["set-cookie"]).toBeUndefined();
  }
});

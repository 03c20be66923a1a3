/**
 * Each part dies, stops or lacks something, at the points of a call's life: twenty calls of four kinds each time. What
 * the client gets, and what they get who come back for it, is counted, held against what is promised, and against the
 * table in docs/faults.md; `UPDATE_FAULTS=1` writes that table anew.
 */
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";

import { ARE_ALL_REQUESTS } from "../support/e2e-way.ts";
import { CallClient, type Outcome } from "../support/call-client.ts";
import { Cell, type Kind, MOMENTS, type Moment } from "../support/fault-cell.ts";
import { FaultTable } from "../support/fault-table.ts";
import {
  FAULTS,
  type FaultName,
  FaultyPostern,
  type FaultyPosternOptions,
  MAX_INPUTS,
} from "../support/faulty-postern.ts";

const WHILE_A_FAULT_LASTS = ["body", "queued", "running", "stream"] as const;

/**
 * The moments at which each fault is tried. Those that last take seconds each, so some moments are left out: a whole
 * response meets only the disk, and one that takes longer than the keepalive is tried where the most is at stake.
 */
const PLAN: Readonly<Record<FaultName, readonly Moment[]>> = {
  gateway: MOMENTS,
  link: MOMENTS,
  object: MOMENTS,
  socket: MOMENTS,
  agent: MOMENTS,
  container: MOMENTS,
  "black hole": ["body", "running", "stream"],
  "stopped agent": WHILE_A_FAULT_LASTS,
  "stopped workerd": WHILE_A_FAULT_LASTS,
  "stopped command": WHILE_A_FAULT_LASTS,
  "stopped container": WHILE_A_FAULT_LASTS,
  "absent agent": ["running"],
  "absent workerd": ["running"],
  "full disk": [...WHILE_A_FAULT_LASTS, "complete"],
  descriptors: [...WHILE_A_FAULT_LASTS, "complete"],
};

/** The faults that last. Lanes run side by side, each with a gateway and a box of its own. */
const LANES: readonly (readonly FaultName[])[] = [
  ["black hole"],
  ["stopped agent", "stopped container"],
  ["stopped workerd", "stopped command", "absent workerd"],
  ["absent agent", "full disk", "descriptors"],
];

/** An object of a self-hosted gateway dies with its isolate, so its row is counted where it dies by itself. */
const FAULTS_OF_ONE_ISOLATE = (Object.keys(FAULTS) as FaultName[]).filter(
  (fault) => fault !== "object" && !LANES.flat().includes(fault),
);

/** The link is lost, and the client notices nothing but a pause. */
const LOSES_LINK: ReadonlySet<FaultName> = new Set([
  "link",
  "object",
  "socket",
  "black hole",
  "absent agent",
  "absent workerd",
]);

/** Each end misses the other within 15 s, and the agent dials. */
const HOLE_NOTICED_MS = 17_000;

/** Everything waits, and goes on. */
const STOPS: ReadonlySet<FaultName> = new Set([
  "stopped agent",
  "stopped workerd",
  "stopped command",
  "stopped container",
]);

/** The agent cannot store responses: the code of one that was to be stored. */
const UNSTORED: Readonly<Partial<Record<FaultName, Outcome>>> = {
  "full disk": "results_full",
  descriptors: "call_lost",
};

/** What a client that is there when the fault comes may get. */
function promised(fault: FaultName, moment: Moment, kind: Kind): readonly Outcome[] {
  if (moment === "complete" || STOPS.has(fault)) return ["answer"];
  if (LOSES_LINK.has(fault)) return moment === "body" ? ["upload_interrupted"] : ["answer"];
  const unstored = UNSTORED[fault];
  if (unstored !== undefined) {
    const isDurable = kind !== "plain" && !(kind === "redirected" && moment === "body");
    // A client that waits is not sent away while the fault lasts.
    if (!isDurable) return ["answer"];
    // Its start finds no room. Its client was not sent away, and may send it again: it did not run.
    const refused = moment === "queued" && kind === "keyed" ? ["no_origin"] : [];
    return ["answer", "broken", unstored, ...refused];
  }
  if (fault === "gateway") return ["broken"];
  const lost = fault === "agent" ? "call_lost" : "origin_error";
  switch (moment) {
    case "body":
      return fault === "agent" ? ["upload_interrupted", "call_lost"] : ["origin_error"];
    case "queued":
      // It waits for a permit and has no container yet. The next agent runs it, if it is durable.
      return fault === "agent" ? ["answer", "call_lost"] : ["answer"];
    case "running":
      return [lost];
    case "headers":
      return [lost, "broken"];
    case "stream":
      return ["broken"];
  }
}

/** What they may get who come back for a kept call after the fault. */
function promisedAfterwards(fault: FaultName, moment: Moment): readonly Outcome[] {
  const isSeamless = LOSES_LINK.has(fault) || STOPS.has(fault) || fault === "gateway";
  if (moment === "complete" || isSeamless) return ["answer"];
  const unstored = UNSTORED[fault];
  if (unstored !== undefined) return ["answer", unstored];
  if (fault === "agent") return moment === "queued" ? ["answer"] : ["call_lost"];
  return moment === "queued" ? ["answer"] : ["origin_error"];
}

const table = new FaultTable(PLAN);
afterAll(() => {
  console.log(table.toString());
  table.keep();
});

interface CellOptions {
  /** docs/faults.md has the cell. */
  readonly counted?: FaultTable;
  readonly clientsGet?: readonly Outcome[];
}

/** What comes of twenty calls. The same is promised whichever way calls take between Worker and object. */
async function checkCell(
  postern: FaultyPostern,
  fault: FaultName,
  moment: Moment,
  { counted, clientsGet }: CellOptions = {},
): Promise<void> {
  const cell = new Cell(postern, fault, moment);
  await cell.arrive().catch((error: unknown) => {
    cell.release();
    throw error;
  });
  const survivors = postern.survivors(fault);
  const { dials } = postern;
  const lift = await postern.inflict(fault).finally(() => cell.release());
  // On a slow machine also plain ones, before the fault: they are kept from then on.
  const sentOn = new Set(cell.all.filter(({ isSentOn }) => isSentOn));
  const ended = Promise.all(cell.all.map(async ({ outcome }) => await outcome));
  const askAgain = async (): Promise<(Outcome | undefined)[]> =>
    await Promise.all(cell.all.map(async (client) => await client.comeBack(cell.body)));
  // A response that is stored is there while the fault lasts, too.
  const early = lift !== undefined && moment === "complete" ? askAgain() : undefined;
  await lift?.(early ?? ended);
  await postern.recovered(fault === "black hole" ? HOLE_NOTICED_MS : undefined);
  expect(postern.survivors(fault)).toEqual(survivors);
  const dialsAgain = LOSES_LINK.has(fault) || fault === "gateway" || fault === "agent";
  expect(postern.dials > dials, "the agent has dialled again").toBe(dialsAgain);

  counted?.set("clients", fault, moment, await ended);
  for (const [kind, clients] of cell.clients) {
    for (const client of clients) {
      const asKind = kind === "plain" && sentOn.has(client) ? "redirected" : kind;
      const right = clientsGet ?? promised(fault, moment, asKind);
      expect(right, `${kind}, ${client.key}`).toContain(await client.outcome);
    }
  }

  const returned = await (early ?? askAgain());
  const afterwards = returned.filter((outcome) => outcome !== undefined);
  counted?.set("afterwards", fault, moment, afterwards);
  expect(promisedAfterwards(fault, moment)).toEqual(expect.arrayContaining(unique(afterwards)));
  await cell.ended();

  for (const key of cell.keys) {
    const executions = postern.stages.executions(key);
    expect(executions.length, key).toBeLessThanOrEqual(1);
    // The app takes no short body for a whole one.
    for (const bytes of executions) expect(bytes, key).toBe(cell.body.length);
  }
  // Which of the responses that are to be stored find room is chance.
  if (UNSTORED[fault] === undefined) counted?.expectDocumented(fault, moment);
  if (fault === "container") await postern.forgetCrashes();
}

/** A Postern for the tests of one `describe`. */
function start(options: FaultyPosternOptions = {}): () => FaultyPostern {
  let postern: FaultyPostern;
  beforeAll(async () => {
    postern = await FaultyPostern.start(options);
  });
  afterAll(async () => await postern.stop());
  return () => postern;
}

describe("where calls pass by memory", () => {
  const postern = start();
  describe.each(FAULTS_OF_ONE_ISOLATE)("the %s dies", (fault) => {
    test.each(MOMENTS)("while 20 calls are at: %s", async (moment) => {
      await checkCell(postern(), fault, moment, { counted: table });
    });
  });

  // By itself, the object takes the streams along that it pumps. `test:e2e:requests` leaves it none to pump.
  test.each([
    ["running", ["answer"]],
    ["stream", ARE_ALL_REQUESTS ? ["answer"] : ["broken"]],
  ] as const)("the object alone dies while 20 calls are at: %s", async (moment, clientsGet) => {
    await checkCell(postern(), "object", moment, { clientsGet });
  });
});

for (const faults of LANES) {
  describe.concurrent(`side by side with others: ${faults.join(", ")}`, () => {
    const postern = start({ hasSmallDisk: faults.includes("full disk") });
    describe.each(faults)("%s", { concurrent: false }, (fault) => {
      test.for(PLAN[fault])("while 20 calls are at: %s", async (moment, context) => {
        if (fault === "full disk" && !postern().hasDisk) {
          context.skip("needs the right to mount a tmpfs");
          return;
        }
        await checkCell(postern(), fault, moment, { counted: table });
      });
    });
  });
}

test("a full disk: who waits beyond the request timeout is not sent away, and gets the answer", async (context) => {
  const postern = await FaultyPostern.start({ hasSmallDisk: true });
  onTestFinished(async () => await postern.stop());
  if (!postern.hasDisk) {
    context.skip("needs the right to mount a tmpfs");
    return;
  }
  const lift = await postern.inflict("full disk");
  // The last ones wait for a place.
  const keys = Array.from({ length: MAX_INPUTS + 5 }, (_, index) => `waits-${index}`);
  for (const key of keys) postern.stages.hold(key, "running");
  const clients = keys.map((key) => new CallClient(postern.address, key, { body: key }));
  await postern.agentSays(/wait beyond the request timeout.* has less than \d+ bytes left/);
  for (const key of keys) postern.stages.release(key);
  const outcomes = await Promise.all(clients.map(async ({ outcome }) => await outcome));
  expect(unique(outcomes)).toEqual(["answer"]);
  expect(clients.filter(({ isSentOn }) => isSentOn)).toEqual([]);
  await lift?.(Promise.resolve());
});

/** The object is reset by itself, and the moments and faults at which the two ways differ in code. */
describe("where calls pass by requests", () => {
  const postern = start({ manyIsolates: true });
  test.each(MOMENTS)("the object dies while 20 calls are at: %s", async (moment) => {
    await checkCell(postern(), "object", moment, { counted: table });
  });
  describe.each(["link", "agent"] as const)("the %s dies", (fault) => {
    test.each(["queued", "running", "stream"] as const)(
      "while 20 calls are at: %s",
      async (moment) => {
        await checkCell(postern(), fault, moment);
      },
    );
  });
});

function unique(outcomes: readonly Outcome[]): Outcome[] {
  return [...new Set(outcomes)];
}

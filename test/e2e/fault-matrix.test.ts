/**
 * Every part that may die, at every point of a call's life: twenty calls of four kinds each time. What
 * the client gets, and what they get who come back for it, is counted, held against what is promised,
 * and against the table in docs/faults.md; `UPDATE_FAULTS=1` writes that table anew.
 */
import { Readable } from "node:stream";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { CallClient, type Outcome } from "../support/call-client.ts";
import { FAULTS, type FaultName, FaultyPostern, MAX_INPUTS } from "../support/faulty-postern.ts";
import type { Stage } from "../support/stages.ts";
import { FaultTable } from "../support/fault-table.ts";

/** Where a call is when the fault comes. */
const MOMENTS = ["body", "queued", "running", "headers", "stream", "complete"] as const;
type Moment = (typeof MOMENTS)[number];

const KINDS = ["plain", "redirected", "keyed", "asynchronous"] as const;
type Kind = (typeof KINDS)[number];

const CALLS_OF_A_KIND = 5;

/** More than the opening frame holds, so that the body streams. */
const LARGE_BODY = "x".repeat(256 * 1024);
const SMALL_BODY = "question";

/** The client notices nothing but a pause. */
const SEAMLESS: ReadonlySet<FaultName> = new Set(["link", "object", "socket"]);

/** What a client that is there when the fault comes may get. */
function promised(fault: FaultName, moment: Moment): readonly Outcome[] {
  if (moment === "complete") return ["answer"];
  if (SEAMLESS.has(fault)) return moment === "body" ? ["upload_interrupted"] : ["answer"];
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
  if (moment === "complete" || SEAMLESS.has(fault) || fault === "gateway") return ["answer"];
  if (fault === "agent") return moment === "queued" ? ["answer"] : ["call_lost"];
  return moment === "queued" ? ["answer"] : ["origin_error"];
}

const FAULTS_OF_ONE_ISOLATE = (Object.keys(FAULTS) as FaultName[]).filter(
  (fault) => fault !== "object",
);

let postern: FaultyPostern;
const table = new FaultTable(Object.keys(FAULTS), MOMENTS);
afterAll(() => {
  console.log(table.toString());
  table.keep();
});

/** The calls of one cell, and what the test can do to them. */
class Cell {
  readonly moment: Moment;
  readonly clients = new Map<Kind, CallClient[]>();
  readonly #name: string;
  readonly #rest = Promise.withResolvers<void>();
  #blockers: CallClient[] = [];

  constructor(fault: FaultName, moment: Moment) {
    this.moment = moment;
    this.#name = `${fault}/${moment}`;
  }

  get all(): CallClient[] {
    return [...this.clients.values()].flat();
  }

  get keys(): string[] {
    return this.all.map(({ key }) => key);
  }

  /** The body that each call sends. */
  get body(): string {
    return this.moment === "body" ? LARGE_BODY : SMALL_BODY;
  }

  /** Brings all calls to the moment. */
  async arrive(): Promise<void> {
    const { stages } = postern;
    if (this.moment === "queued") await this.#takeAllSlots();
    // Redirected before the fault: kept from then on. A body that is on its way is never redirected.
    const redirected = this.#begin("redirected");
    if (this.moment !== "body") await Promise.all(redirected.map(({ sentOn }) => sentOn));
    this.#begin("plain");
    this.#begin("keyed");
    const asynchronous = this.#begin("asynchronous");
    switch (this.moment) {
      case "body":
        await stages.reached(this.keys, "receiving");
        return;
      case "queued":
        await Promise.all(asynchronous.map(({ sentOn }) => sentOn));
        return;
      case "running":
        await stages.reached(this.keys, "running");
        return;
      case "headers":
        await this.#goOnTo("answering");
        await Promise.all(this.all.map(({ headed }) => headed));
        return;
      case "stream":
        await this.#goOnTo("streaming");
        await Promise.all(this.all.map(({ headed }) => headed));
        return;
      case "complete":
        this.release();
        await Promise.all(this.all.map(({ outcome }) => outcome));
    }
  }

  /** Nothing is held any more. */
  release(): void {
    this.#rest.resolve();
    for (const key of [...this.#blockers.map(({ key }) => key), ...this.keys]) {
      postern.stages.release(key);
    }
  }

  /** What held the slots has ended as well. */
  async ended(): Promise<void> {
    await Promise.all(this.#blockers.map(({ outcome }) => outcome));
  }

  #begin(kind: Kind): CallClient[] {
    const clients = Array.from({ length: CALLS_OF_A_KIND }, (_, index) =>
      this.#call(`${this.#name}/${kind}-${index}`, kind),
    );
    this.clients.set(kind, clients);
    return clients;
  }

  #call(key: string, kind: Kind): CallClient {
    postern.stages.hold(key, "running");
    const headers: Record<string, string> = {};
    if (kind === "keyed") headers["idempotency-key"] = key;
    if (kind === "asynchronous") headers["prefer"] = "respond-async";
    const body = this.moment === "body" ? this.#slowBody() : SMALL_BODY;
    return new CallClient(postern.address, key, { headers, body });
  }

  /** Half of the large body now, the rest when the fault has come. */
  #slowBody(): Readable {
    const rest = this.#rest.promise;
    const half = LARGE_BODY.length / 2;
    const parts = (async function* () {
      yield LARGE_BODY.slice(0, half);
      await rest;
      yield LARGE_BODY.slice(half);
    })();
    return Readable.from(parts, { objectMode: false });
  }

  async #goOnTo(stage: Stage): Promise<void> {
    const { stages } = postern;
    await stages.reached(this.keys, "running");
    for (const key of this.keys) {
      stages.hold(key, stage);
      stages.pass(key, "running");
    }
    await stages.reached(this.keys, stage);
  }

  async #takeAllSlots(): Promise<void> {
    this.#blockers = Array.from({ length: MAX_INPUTS }, (_, index) =>
      this.#call(`${this.#name}/blocker-${index}`, "plain"),
    );
    await postern.stages.reached(
      this.#blockers.map(({ key }) => key),
      "running",
    );
  }
}

interface CellOptions {
  /** docs/faults.md has the cell. */
  readonly counted?: FaultTable;
  readonly clientsGet?: readonly Outcome[];
}

/** What comes of twenty calls. The same is promised whichever way calls take between Worker and object. */
async function checkCell(
  fault: FaultName,
  moment: Moment,
  { counted, clientsGet = promised(fault, moment) }: CellOptions = {},
): Promise<void> {
  const cell = new Cell(fault, moment);
  try {
    await cell.arrive();
    await postern.inflict(fault);
  } finally {
    cell.release();
  }
  await postern.recovered();

  const outcomes = await Promise.all(cell.all.map(async ({ outcome }) => await outcome));
  counted?.set("clients", fault, moment, outcomes);
  expect(clientsGet).toEqual(expect.arrayContaining(unique(outcomes)));

  const returned = await Promise.all(
    cell.all.map(async (client) => await client.comeBack(cell.body)),
  );
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
  counted?.expectDocumented(fault, moment);
  if (fault === "container") await postern.forgetCrashes();
}

function start(manyIsolates: boolean): void {
  beforeAll(async () => {
    postern = await FaultyPostern.start(manyIsolates);
  });
  afterAll(async () => await postern.stop());
}

describe("where calls pass by memory", () => {
  start(false);
  describe.each(FAULTS_OF_ONE_ISOLATE)("the %s dies", (fault) => {
    test.each(MOMENTS)("while 20 calls are at: %s", async (moment) => {
      await checkCell(fault, moment, { counted: table });
    });
  });

  // An object of a self-hosted gateway dies with its isolate. By itself, it takes the streams along that it pumps.
  test.each([
    ["running", ["answer"]],
    ["stream", ["broken"]],
  ] as const)("the object alone dies while 20 calls are at: %s", async (moment, clientsGet) => {
    await checkCell("object", moment, { clientsGet });
  });
});

/** The object is reset by itself, and the moments and faults at which the two ways differ in code. */
describe("where calls pass by requests", () => {
  start(true);
  test.each(MOMENTS)("the object dies while 20 calls are at: %s", async (moment) => {
    await checkCell("object", moment, { counted: table });
  });
  describe.each(["link", "agent"] as const)("the %s dies", (fault) => {
    test.each(["queued", "running", "stream"] as const)(
      "while 20 calls are at: %s",
      async (moment) => {
        await checkCell(fault, moment);
      },
    );
  });
});

function unique(outcomes: readonly Outcome[]): Outcome[] {
  return [...new Set(outcomes)];
}

/** Twenty calls of four kinds, brought to one moment of their lives: what a fault of the matrix meets. */
import { Readable } from "node:stream";

import { CallClient } from "./call-client.ts";
import { type FaultName, type FaultyPostern, MAX_INPUTS } from "./faulty-postern.ts";
import type { Stage } from "./stages.ts";

/** Where a call is when the fault comes. */
export const MOMENTS = ["body", "queued", "running", "headers", "stream", "complete"] as const;
export type Moment = (typeof MOMENTS)[number];

export type Kind = "plain" | "redirected" | "keyed" | "asynchronous";

const CALLS_OF_A_KIND = 5;

/** More than the opening frame holds, so that the body streams. */
const LARGE_BODY = "x".repeat(256 * 1024);
const SMALL_BODY = "question";

/** The calls of one cell, and what the test can do to them. */
export class Cell {
  readonly moment: Moment;
  readonly clients = new Map<Kind, CallClient[]>();
  readonly #postern: FaultyPostern;
  readonly #name: string;
  readonly #rest = Promise.withResolvers<void>();
  #blockers: CallClient[] = [];

  constructor(postern: FaultyPostern, fault: FaultName, moment: Moment) {
    this.#postern = postern;
    this.moment = moment;
    this.#name = `${fault.replace(" ", "-")}/${moment}`;
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
    const { stages } = this.#postern;
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
      this.#postern.stages.release(key);
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
    this.#postern.stages.hold(key, "running");
    const headers: Record<string, string> = {};
    if (kind === "keyed") headers["idempotency-key"] = key;
    if (kind === "asynchronous") headers["prefer"] = "respond-async";
    const body = this.moment === "body" ? this.#slowBody() : SMALL_BODY;
    return new CallClient(this.#postern.address, key, { headers, body });
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
    const { stages } = this.#postern;
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
    await this.#postern.stages.reached(
      this.#blockers.map(({ key }) => key),
      "running",
    );
  }
}

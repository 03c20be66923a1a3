/**
 * The `Origin` object's end of handing over: it offers its desk, opens the calls that are laid there, and
 * has each of them until it is answered or its Worker comes for it.
 */
import type { Multiplexer } from "../../../routing/wire/multiplexer.ts";
import type { Deadlines } from "./deadlines.ts";
import { HandedCall } from "./local-call.ts";
import { Desk, type Handover } from "../../contracts/local-queue.ts";

/** Where no call was handed over for this long, none is expected, and the object may hibernate. */
const DESK_IDLE_MS = 5_000;

export class HandedCalls {
  readonly #deadlines: Deadlines;
  readonly #link: () => Multiplexer | undefined;
  /** By id. */
  readonly #calls = new Map<string, HandedCall>();
  #desk: Desk | undefined;

  /** @param link the link that calls are opened on, while it is there */
  constructor(deadlines: Deadlines, link: () => Multiplexer | undefined) {
    this.#deadlines = deadlines;
    this.#link = link;
  }

  /**
   * From now on calls may be handed over by memory, until there were none for a while.
   * @param name of the object's link
   * @returns what must not be evicted meanwhile; undefined where it goes on already
   */
  offer(name: string): Promise<void> | undefined {
    const open = this.#desk;
    const desk = open ?? new Desk(name);
    this.#desk = desk;
    desk.offer();
    return open === undefined ? this.#takeFrom(desk) : undefined;
  }

  /** A call that is neither answered nor claimed yet. */
  find(id: string): HandedCall | undefined {
    return this.#calls.get(id);
  }

  async #takeFrom(desk: Desk): Promise<void> {
    const watch = setInterval(() => {
      if (Date.now() - desk.usedAt <= DESK_IDLE_MS) return;
      this.#desk = undefined;
      desk.close();
    }, DESK_IDLE_MS);
    for (;;) {
      const calls = await desk.next();
      if (calls.length === 0) break;
      for (const call of calls) if (call.begin()) this.#open(call);
    }
    clearInterval(watch);
  }

  #open(handover: Handover): void {
    const { id, head, body } = handover;
    const link = this.#link();
    if (link === undefined || body.length > link.requestWindow) return handover.refuse();
    const call = new HandedCall(handover, this.#deadlines, () => this.#calls.delete(id));
    this.#calls.set(id, call);
    const stream = link.open(head, body, true, call);
    if (stream !== undefined) call.start(stream);
    else call.refused();
  }
}

/** The events that an app has not received yet. After the last one each `take` gives that again, as ASGI has it. */
import type { ReceivedEvent } from "./asgi.d.ts";

export class EventQueue {
  readonly #events: ReceivedEvent[] = [];
  readonly #takers: ((event: ReceivedEvent) => void)[] = [];
  #last: ReceivedEvent | undefined;

  /** Without effect after the last one. */
  push(event: ReceivedEvent): void {
    if (this.#last !== undefined) return;
    const taker = this.#takers.shift();
    if (taker === undefined) this.#events.push(event);
    else taker(event);
  }

  /** The events before it are taken before it. */
  end(last: ReceivedEvent): void {
    if (this.#last !== undefined) return;
    this.#last = last;
    for (const taker of this.#takers.splice(0)) taker(last);
  }

  async take(): Promise<ReceivedEvent> {
    const event = this.#events.shift() ?? this.#last;
    if (event !== undefined) return event;
    return await new Promise((resolve) => this.#takers.push(resolve));
  }
}

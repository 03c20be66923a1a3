/** Notes the gateway's welcomes, and tells the calls what follows from them. */
import type { Welcome } from "../../routing/wire/messages.ts";

/** The part of the call registry that hears of it. */
interface WelcomedCalls {
  onWelcomed(): void;
  onClientsGone(): void;
}

export class Welcomes {
  /** Links whose first welcome is still to come. */
  readonly #awaited: Set<number>;
  /** The process that holds the clients' connections. */
  #process: string | undefined;
  #haveClientsGone = false;

  /** @param links their numbers */
  constructor(links: Iterable<number>) {
    this.#awaited = new Set(links);
  }

  /** Notes a welcome; whether it is the link's first. */
  note(link: number, { process }: Pick<Welcome, "process">): boolean {
    if (process !== undefined) {
      this.#haveClientsGone ||= this.#process !== undefined && this.#process !== process;
      this.#process = process;
    }
    return this.#awaited.delete(link);
  }

  /** @param calls undefined while an earlier agent's are read */
  tell(calls: WelcomedCalls | undefined): void {
    if (calls === undefined) return;
    if (this.#awaited.size === 0) calls.onWelcomed();
    if (this.#haveClientsGone) calls.onClientsGone();
    this.#haveClientsGone = false;
  }
}

/** The responses of one link's object whose clients may leave unseen (contracts/watched-calls.ts). */
import { watchCall, type WatchedLink } from "../../contracts/watched-calls.ts";

/** The response to a client that may leave unseen. */
interface WatchedResponse {
  onHalfClosed(): void;
}

export class WatchedClients {
  /** By the clients' connections. */
  readonly #responses = new Map<string, WatchedResponse>();

  /** @param connection of the response's client. The returned function ends the watch. */
  watch(connection: string, link: WatchedLink, response: WatchedResponse): () => void {
    const forget = watchCall(connection, link);
    this.#responses.set(connection, response);
    return () => {
      forget();
      if (this.#responses.get(connection) === response) this.#responses.delete(connection);
    };
  }

  /** The clients of these connections have closed their half. */
  halfClosed(connections: readonly string[]): void {
    for (const connection of connections) this.#responses.get(connection)?.onHalfClosed();
  }
}

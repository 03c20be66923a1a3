/**
 * The calls whose clients may leave unseen. workerd notices a client's FIN only when it next writes to that client.
 * The runner of a self-hosted gateway sees it at once, and tells the Worker which connections are half closed. The
 * object of a link notes its calls here, so that the Worker finds the object of a connection. Plain data alone:
 * Worker and object share it, and each request its own context (docs/decisions/013-workerd-at-the-clients-port.md).
 */
import type { Failure } from "../../routing/wire/messages.ts";
import { failedAttempt } from "./attempt.ts";

/** How long a client that closed its half may wait for the next byte. */
export const HALF_CLOSED_GRACE_MS = 300;

/** For a client that closed its half and reads on, if there is one. */
export const LEFT: Failure = {
  code: "call_lost",
  detail: "the client closed its half of the connection, which counts as leaving",
};

/** The end of a call whose client has left: it is not tried once more. */
export const CLIENT_LEFT = failedAttempt("cancelled", LEFT);

/** The link whose object has a call. */
export interface WatchedLink {
  readonly workspace: string;
  readonly box: string;
  readonly link: number;
}

/** By the name of the client's connection (routing/connection-name.ts); undefined while no object has its call. */
const watched = new Map<string, WatchedLink | undefined>();

/** The watched connections that the runner last found half closed, and since when, in milliseconds of the epoch. */
let halfClosed: ReadonlyMap<string, number> = new Map();

/**
 * Notes a call: the object that has it, or the Worker while none does. The returned function forgets it, unless the
 * connection has another one by then.
 */
export function watchCall(connection: string, link?: WatchedLink): () => void {
  const noted = link && { ...link };
  watched.set(connection, noted);
  return () => {
    if (watched.get(connection) === noted) watched.delete(connection);
  };
}

/** Worker: the link whose object has the call of this connection. */
export function watchedLink(connection: string): WatchedLink | undefined {
  return watched.get(connection);
}

/** Worker: whether it is worth while to look for half-closed connections. */
export function hasWatchedCalls(): boolean {
  return watched.size > 0;
}

/** Worker: notes what the runner found. */
export function noteHalfClosed(connections: readonly string[]): void {
  const before = halfClosed;
  const now = Date.now();
  const names = connections.filter((name) => watched.has(name));
  halfClosed = new Map(names.map((name) => [name, before.get(name) ?? now]));
}

/** Whether the client of a watched connection, to which nothing was sent meanwhile, has left. */
export function hasLeft(connection: string): boolean {
  const sinceMs = halfClosed.get(connection);
  return sinceMs !== undefined && Date.now() - sinceMs >= HALF_CLOSED_GRACE_MS;
}

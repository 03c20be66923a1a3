/**
 * The calls whose clients may leave unseen. workerd notices a client's FIN only when it next writes to that client.
 * The runner of a self-hosted gateway sees it at once, and tells the Worker which connections are half closed. The
 * object of a link notes its calls here, so that the Worker finds the object of a connection. Plain data alone:
 * Worker and object share it, and each request its own context (docs/decisions/013-workerd-at-the-clients-port.md).
 */

/** The link whose object has a call. */
export interface WatchedLink {
  readonly workspace: string;
  readonly box: string;
  readonly link: number;
}

/** By the name of the client's connection (routing/connection-name.ts). */
const watched = new Map<string, WatchedLink>();

/** Object: notes a call. The returned function forgets it, unless the connection has another one by then. */
export function watchCall(connection: string, { workspace, box, link }: WatchedLink): () => void {
  const noted = { workspace, box, link };
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

/**
 * The runner's word on clients that have closed their half of a connection, on WebSockets that have ended, and on
 * workerd's descriptors (cli/gateway/half-closed-watch.ts). It asks a few times a second; the answer says whether there
 * is anything to look for.
 */
import * as z from "zod";
import { connectionName } from "../../../routing/connection-name.ts";
import type { Refusal } from "../../../routing/wire/errors.ts";
import type { Env } from "../../contracts/env.ts";
import { originStub } from "../../contracts/stubs.ts";
import { connectionOf, isPastFront } from "./client-address.ts";
import {
  hasWatchedCalls,
  noteHalfClosed,
  watchedLink,
  type WatchedLink,
} from "../../contracts/watched-calls.ts";
import { WebSocketRoom } from "./websocket-room.ts";
import { openWebSockets, wantsConnections } from "./workspace-room.ts";

export const HALF_CLOSED_PATH = "/_postern/half-closed";

const NOTICE = z.object({
  connections: z.array(z.string()),
  /** All open connections; absent where the last answer did not ask for them. */
  open: z.array(z.string()).optional(),
  /** For how many more WebSockets there is room; absent where the system does not tell. */
  moreWebSockets: z.int().min(0).optional(),
  /** The last answer's `openedWebSockets`, before the runner counted. */
  openedWebSockets: z.int().min(0),
});

const webSocketRoom = new WebSocketRoom();

/** Takes the room of one more WebSocket; returns why there is none. */
export function takeWebSocketRoom(): Refusal | undefined {
  return webSocketRoom.take();
}

/**
 * Notes that a client's WebSocket has opened, or a box has dialled back for one, where the runner tells which connections
 * are open. Boxes on this machine dial past the front, and take none of its places.
 */
export function noteWebSocket(request: Request, env: Env, workspace: string): void {
  const name = watchedConnection(request, env);
  if (name === undefined || isPastFront(request, env)) return;
  openWebSockets.add(name, workspace, webSocketRoom.opened);
}

/** Links of boxes, whose connections carry the responses of others. The oldest are forgotten first. */
const MAX_BOX_CONNECTIONS = 1_000;
const boxConnections = new Set<string>();

/** Notes that a connection is a box's link. */
export function noteBoxConnection(request: Request): void {
  const name = clientConnection(request);
  if (name === undefined) return;
  boxConnections.delete(name);
  boxConnections.add(name);
  if (boxConnections.size <= MAX_BOX_CONNECTIONS) return;
  for (const oldest of boxConnections) {
    boxConnections.delete(oldest);
    return;
  }
}

/** The name of the client's connection; undefined where the platform does not tell. */
function clientConnection(request: Request): string | undefined {
  const connection = connectionOf(request);
  return connection === undefined ? undefined : connectionName(connection);
}

/** The same, where the runner watches connections for their clients' end. */
export function watchedConnection(request: Request, env: Env): string | undefined {
  return env.POSTERN_WATCH_SECRET ? clientConnection(request) : undefined;
}

/** Handles the runner's notice. A request without this process's secret gets 404. */
export async function noticeHalfClosed(request: Request, env: Env): Promise<Response> {
  const expected = env.POSTERN_WATCH_SECRET;
  if (!expected || request.headers.get("postern-watch-secret") !== expected) {
    return new Response(null, { status: 404 });
  }
  const { connections, open, ...counted } = NOTICE.parse(await request.json());
  if (open !== undefined) openWebSockets.onLooked(open, counted.openedWebSockets, Date.now());
  webSocketRoom.onCounted(counted.moreWebSockets, counted.openedWebSockets);
  noteHalfClosed(connections);
  const byLink = new Map<WatchedLink, string[]>();
  for (const connection of connections) {
    const link = watchedLink(connection);
    if (link !== undefined) byLink.set(link, [...(byLink.get(link) ?? []), connection]);
  }
  for (const [{ workspace, box, link }, names] of byLink) {
    // An object that was reset has no calls any more.
    await originStub(env, workspace, box, link)
      .clientsHalfClosed(names)
      .catch(() => undefined);
  }
  return Response.json({
    isWatching: hasWatchedCalls(),
    wantsOpen: wantsConnections(env, Date.now()),
    boxes: [...boxConnections],
    openedWebSockets: webSocketRoom.opened,
  });
}

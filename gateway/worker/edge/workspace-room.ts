/**
 * The part of a self-hosted gateway's connections that one workspace may hold: by requests that are not answered, by
 * responses that stream, and by WebSockets. A flood at one workspace's endpoints leaves room for every other workspace.
 *
 * To hear of a client that leaves costs more than a short call. So a request counts among those that began a moment ago,
 * and among those that wait once it turns out to take long. On Cloudflare connections are the platform's, and nothing is
 * bounded here.
 */
import { Counts, mayHaveOneMore, type Uncount, YoungCounts } from "../../../routing/counts.ts";
import type { Refusal } from "../../../routing/wire/errors.ts";
import type { Env } from "../../contracts/env.ts";
import { CLAIM_AFTER_MS } from "../../contracts/local-queue.ts";
import { streamingResponses } from "../../contracts/streaming-responses.ts";
import { OpenWebSockets } from "./open-websockets.ts";

/** WebSockets stay for long. The last places are for requests, most of which are answered at once. */
const WEBSOCKETS_PART = 7 / 8;

/** Below this part of all no workspace is refused, and nobody has to know exactly. */
const EXACT_FROM = 1 / 2;

/** Longer than a request takes to count among those that wait (contracts/local-queue.ts). */
const YOUNG_MS = 2 * CLAIM_AFTER_MS;

const begun = new YoungCounts(YOUNG_MS);
const waiting = new Counts();
export const openWebSockets = new OpenWebSockets();

/** Why one more request to this workspace may not begin; undefined where it may. */
export function workspaceRefusal(
  env: Env,
  workspace: string,
  isWebSocket: boolean,
): Refusal | undefined {
  const max = maxConnections(env) * (isWebSocket ? WEBSOCKETS_PART : 1);
  const held = heldBy((counts) => counts.of(workspace));
  const total = held === 0 ? 0 : heldBy((counts) => counts.total);
  if (held === 0 || mayHaveOneMore(held, total, max)) return undefined;
  const detail = "requests to this workspace hold their share of the gateway's connections";
  return { code: "unavailable", detail };
}

/** Counts a request that begins, until it is answered, for a moment at most. */
export function countBegun(workspace: string): Uncount {
  return begun.add(workspace, Date.now());
}

/** Counts a request that waits for its response. */
export function countWaiting(workspace: string): Uncount {
  return waiting.add(workspace);
}

/** Whether the runner shall tell which connections are open. */
export function wantsConnections(env: Env, nowMs: number): boolean {
  const isCrowded = heldBy((counts) => counts.total) >= EXACT_FROM * maxConnections(env);
  return isCrowded && openWebSockets.isDue(nowMs);
}

function heldBy(number: (counts: Pick<Counts, "of" | "total">) => number): number {
  const young = number(begun.at(Date.now()));
  return young + number(waiting) + number(streamingResponses) + number(openWebSockets);
}

function maxConnections({ POSTERN_MAX_CONNECTIONS: text }: Env): number {
  return text ? Number(text) : Number.POSITIVE_INFINITY;
}

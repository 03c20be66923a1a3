/**
 * A client's WebSocket. The app must accept the handshake first. Then the client's 101 carries one end of the
 * pair whose other end the agent has dialled back for. From there on workerd pumps the messages, and no code of
 * ours sees them (docs/websockets.md).
 */
import type { RequestHead } from "../../../routing/wire/heads.ts";
import { shareOf } from "../../../routing/wire/stream-shares.ts";
import { askLink } from "../../contracts/ask-link.ts";
import {
  asciiJson,
  type Attempt,
  failedAttempt,
  withRightLength,
} from "../../contracts/attempt.ts";
import type { Env } from "../../contracts/env.ts";
import { CONNECTION, HEAD, NONCE, OTHERS, SHARE, VERB, WAIT } from "../../contracts/link.ts";
import { type PlacedAttempt, tryCandidates, type Unplaced } from "./candidates.ts";

/**
 * Asks the app for a WebSocket; another response of the app is passed on as a response.
 * @param placing where it may go
 * @param connection the client's, where the runner watches it (contracts/watched-calls.ts)
 */
export async function proxyWebSocket(
  env: Env,
  placing: Omit<Unplaced, "callId" | "share">,
  head: RequestHead,
  connection?: string,
): Promise<PlacedAttempt> {
  const nonce = randomHex(16);
  const text = (mayRefuse?: boolean): string =>
    asciiJson(
      JSON.stringify({ ...head, websocket: nonce, ...(mayRefuse !== undefined && { mayRefuse }) }),
    );
  const call = { ...placing, callId: head.callId, share: shareOf(head.endpoint) };
  return await tryCandidates(env, call, async ({ place, link, wait, mayRefuse }) => {
    const headers: Record<string, string> = {
      upgrade: "websocket",
      [HEAD]: text(mayRefuse),
      [NONCE]: nonce,
      [SHARE]: call.share,
    };
    if (wait !== undefined) headers[WAIT] = wait;
    if (mayRefuse === true) headers[OTHERS] = "1";
    if (connection !== undefined) headers[CONNECTION] = connection;
    const attempt = await askLink(env, place, link, VERB.websocket, { headers });
    return isLost(attempt) ? HANDSHAKE_BROKE : withRightLength(attempt, false);
  });
}

/** The app may have seen the handshake: it is not sent again. */
const HANDSHAKE_BROKE = failedAttempt("reset", {
  code: "origin_error",
  detail: "the link to the box broke during the handshake",
});

function isLost(attempt: Attempt): boolean {
  return attempt.kind === "failed" && attempt.cause === "link_lost";
}

function randomHex(bytes: number): string {
  let text = "";
  for (const byte of crypto.getRandomValues(new Uint8Array(bytes))) {
    text += byte.toString(16).padStart(2, "0");
  }
  return text;
}

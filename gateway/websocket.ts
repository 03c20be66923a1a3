/**
 * A client's WebSocket: the app must accept the handshake first; then the client's 101 carries one end
 * of the pair whose other end the agent has dialled back for. From there on workerd pumps the messages
 * and no code of ours sees them (docs/websockets.md).
 */
import { type Failure, parseFailure, parseResponseHead } from "../routing/wire/messages.ts";
import type { RequestHead, ResponseHead } from "../routing/wire/messages.ts";
import type { Env } from "./env.ts";
import { originStub } from "./exchange.ts";
import { asciiJson, FAILURE, HEAD, NONCE, VERB } from "./internal.ts";
import type { Snapshot } from "./names.ts";

export type WebSocketAnswer =
  | { kind: "accepted"; head: ResponseHead; socket: WebSocket }
  | { kind: "answered"; head: ResponseHead; body: ReadableStream<Uint8Array> | null }
  | { kind: "failed"; failure: Failure };

/** Asks the app for a WebSocket; whatever else it answers is passed on as an answer. */
export async function openWebSocket(
  env: Env,
  snapshot: Snapshot,
  head: RequestHead,
): Promise<WebSocketAnswer> {
  const nonce = randomHex(16);
  const text = asciiJson(JSON.stringify({ ...head, websocket: nonce }));
  const headers = { upgrade: "websocket", [HEAD]: text, [NONCE]: nonce };
  const { workspace, boxes } = snapshot;
  const [{ box } = { box: "" }] = boxes;
  let response: Response;
  try {
    response = await originStub(env, workspace, box, 0).fetch(VERB.websocket, { headers });
  } catch {
    const detail = "the link to the box broke during the handshake";
    return { kind: "failed", failure: { code: "origin_error", detail } };
  }
  const answered = response.headers.get(HEAD);
  if (answered === null) {
    return { kind: "failed", failure: parseFailure(response.headers.get(FAILURE) ?? "{}") };
  }
  const answer = parseResponseHead(answered);
  if (response.webSocket === null) return { kind: "answered", head: answer, body: response.body };
  return { kind: "accepted", head: answer, socket: response.webSocket };
}

function randomHex(bytes: number): string {
  let text = "";
  for (const byte of crypto.getRandomValues(new Uint8Array(bytes))) {
    text += byte.toString(16).padStart(2, "0");
  }
  return text;
}

/**
 * A client's WebSocket: the app must accept the handshake first; then the client's 101 carries one end
 * of the pair whose other end the agent has dialled back for. From there on workerd pumps the messages
 * and no code of ours sees them (docs/websockets.md).
 */
import {
  type Failure,
  parseFailure,
  parseResponseHead,
  type RequestHead,
  type ResponseHead,
} from "../../../routing/wire/messages.ts";
import type { Env } from "../../contracts/env.ts";
import {
  type Ending,
  asciiJson,
  ENDING,
  FAILURE,
  HEAD,
  NONCE,
  VERB,
} from "../../contracts/link.ts";
import { candidatesOf, mayGoElsewhere, noteAway } from "./candidates.ts";
import { originStub } from "../../contracts/stubs.ts";
import type { Snapshot } from "../../contracts/names.ts";

export type WebSocketAnswer =
  | { kind: "accepted"; head: ResponseHead; socket: WebSocket }
  | { kind: "answered"; head: ResponseHead; body: ReadableStream<Uint8Array> | null }
  | { kind: "failed"; failure: Failure };

/** Asks the app for a WebSocket; whatever else it answers is passed on as an answer. */
export async function openWebSocket(
  env: Env,
  { workspace, boxes }: Snapshot,
  head: RequestHead,
): Promise<WebSocketAnswer> {
  const nonce = randomHex(16);
  const text = asciiJson(JSON.stringify({ ...head, websocket: nonce }));
  const headers = { upgrade: "websocket", [HEAD]: text, [NONCE]: nonce };
  let failure: Failure = { code: "no_origin", detail: "the box is not connected" };
  for (const { box, link, isLast } of candidatesOf(workspace, boxes)) {
    let response: Response;
    try {
      response = await originStub(env, workspace, box, link).fetch(VERB.websocket, { headers });
    } catch {
      const detail = "the link to the box broke during the handshake";
      return { kind: "failed", failure: { code: "origin_error", detail } };
    }
    const answered = response.headers.get(HEAD);
    if (answered !== null) {
      const answer = parseResponseHead(answered);
      const { webSocket: socket, body } = response;
      return socket === null
        ? { kind: "answered", head: answer, body }
        : { kind: "accepted", head: answer, socket };
    }
    const ending = response.headers.get(ENDING) as Ending;
    const noLink = ending === "no_link";
    if (noLink && isLast) noteAway(workspace, box);
    // Of several refusals, one by a box that is there says more.
    if (!noLink) failure = parseFailure(response.headers.get(FAILURE) ?? "{}");
    if (!mayGoElsewhere(ending, failure)) break;
  }
  return { kind: "failed", failure };
}

function randomHex(bytes: number): string {
  let text = "";
  for (const byte of crypto.getRandomValues(new Uint8Array(bytes))) {
    text += byte.toString(16).padStart(2, "0");
  }
  return text;
}

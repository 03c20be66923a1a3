/**
 * Attaches again to a call whose link was lost while its response flowed. The link may come back, and another link
 * of the box may be there already.
 */
import { DETACHED_MS } from "../../../routing/wire/limits.ts";
import type { CallName } from "../../../routing/wire/messages.ts";
import type { Stream, StreamEvents } from "../../../routing/wire/multiplexer.ts";
import { askLink } from "../../contracts/ask-link.ts";
import { discardBody, isWithoutLink, type ResponseBody } from "../../contracts/attempt.ts";
import type { Env } from "../../contracts/env.ts";
import { HEAD, SHARE, VERB } from "../../contracts/link.ts";
import type { LinkConnection, LinkIdentity } from "./link-connection.ts";

/** How long the object waits for its own link before it asks the box's others, again and again. */
const OTHERS_AFTER_MS = 100;

/** The rest of a response: a stream of the object's own link, or the body that another link's object gave. */
export type RestOfResponse =
  | { readonly kind: "stream"; readonly stream: Stream }
  | { readonly kind: "body"; readonly body: ResponseBody };

/** The object's own link. */
export interface OwnLink {
  /** As it was when the call was opened. */
  readonly identity: LinkIdentity;
  /** Waits for the link; undefined where it is not there in time. */
  returned(limitMs: number): Promise<LinkConnection | undefined>;
  /** The agent has ended, and its calls with it. */
  isOver(): boolean;
}

/**
 * @param events of the stream, where the object's own link comes back
 * @param offset bytes of the response's body to leave out
 * @param share the call's endpoint
 * @returns undefined where the call is lost, or no link is there within DETACHED_MS
 */
export async function attachAgain(
  env: Env,
  own: OwnLink,
  call: CallName,
  events: StreamEvents,
  offset: number,
  share: string | undefined,
): Promise<RestOfResponse | undefined> {
  const head = JSON.stringify({ ...call, offset });
  const { workspace, box, link, links } = own.identity;
  const until = Date.now() + DETACHED_MS;
  for (let tried = 1; Date.now() < until && !own.isOver(); tried += 1) {
    const back = await own.returned(links === 1 ? DETACHED_MS : OTHERS_AFTER_MS);
    if (back !== undefined) {
      const stream = back.streams.attach(head, events, share);
      return stream === undefined ? undefined : { kind: "stream", stream };
    }
    const other = (link + tried) % links;
    if (other === link) continue;
    const attempt = await askLink(env, { workspace, box }, other, VERB.attach, {
      headers: { [HEAD]: head, ...(share === undefined ? {} : { [SHARE]: share }) },
    });
    if (attempt.kind === "response") return { kind: "body", body: attempt.body };
    const mayTryAgain =
      isWithoutLink(attempt) || (attempt.kind === "failed" && attempt.cause === "link_lost");
    if (!mayTryAgain) return undefined;
  }
  return undefined;
}

/**
 * Reads a body that another link's object gave.
 * @param push takes a piece, and resolves when the reader has it
 * @returns whether the body came to its end
 */
export async function readRest(
  body: ResponseBody,
  push: (bytes: Uint8Array) => Promise<boolean>,
): Promise<boolean> {
  if (body === null) return true;
  if (body instanceof Uint8Array) return await push(body);
  try {
    for await (const bytes of body) {
      if (await push(bytes)) continue;
      await discardBody(body).catch(() => undefined);
      return false;
    }
    return true;
  } catch {
    return false;
  }
}

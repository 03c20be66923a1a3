/**
 * Keys of ours that clients carry elsewhere than in Authorization. Some clients know one header for an API key alone,
 * and a page's WebSocket can set nothing but its subprotocols. Says where a key may stand and what is one of ours;
 * verifies nothing. Pure.
 */

/** Headers whose whole value is a key: those of Anthropic's and of Azure's clients. */
export const KEY_HEADERS = ["x-api-key", "api-key"] as const;

/** OpenAI's realtime clients in browsers send a subprotocol that begins so; the key follows. */
const KEY_SUBPROTOCOL = "openai-insecure-api-key.";

/**
 * A proxy, app or connect token, or an API token, which opens no endpoint and was sent by mistake. It may stand
 * anywhere in a value: two lines are joined into one, and people add quotes. The bounds keep the search linear.
 */
const OUR_KEY =
  /(?<![a-z0-9])(?:wk-[^\s,]{0,64}\.ws-|ak-[^\s,]{0,128}\.as-|pat-[0-9a-f]{26}-|pct-[a-z0-9])/i;

/** Whether a value has a secret of the gateway's in it, so that no app may get it. */
export function holdsOurKey(value: string): boolean {
  return OUR_KEY.test(value);
}

/** The key of the first subprotocol that carries one of ours (RFC 6455, 11.3.4: a list). */
export function subprotocolKey(offered: string | null): string | undefined {
  return membersOf(offered).find(carriesOurs)?.slice(KEY_SUBPROTOCOL.length);
}

/** The subprotocols that the app is offered: all but those with a key of ours; undefined where none is left. */
export function withoutKeySubprotocols(offered: string): string | undefined {
  if (!holdsOurKey(offered)) return offered;
  const kept = membersOf(offered).filter((member) => !holdsOurKey(member));
  return kept.length === 0 ? undefined : kept.join(", ");
}

/**
 * The subprotocol that the gateway itself answers with, where the app was offered none and so names none: a browser
 * that has offered some fails without an answer (WHATWG WebSockets, "establish a WebSocket connection").
 */
export function soleKeySubprotocol(offered: string | null): string | undefined {
  const members = membersOf(offered);
  const [first] = members;
  return first !== undefined && members.every(carriesOurs) ? first : undefined;
}

function carriesOurs(member: string): boolean {
  return member.startsWith(KEY_SUBPROTOCOL) && holdsOurKey(member);
}

function membersOf(list: string | null): string[] {
  if (list === null || list === "") return [];
  return list
    .split(",")
    .map((member) => member.trim())
    .filter((member) => member !== "");
}

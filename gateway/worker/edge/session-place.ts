/**
 * The session of a request, where its endpoint has affinity: its keys, the box on which it is believed to be, and the
 * lines that tell the client of its place. A warm request asks nobody: its place is signed into its cookie or in
 * the isolate's memory. The agent decides (docs/sessions.md).
 */
import {
  AFFINITY_ID_CHARACTERS,
  type AffinityClaims,
  affinityId,
  signAffinityCookie,
  verifyAffinityCookie,
} from "../../../auth/affinity-cookie.ts";
import { getHeader, type HeaderList } from "../../../base/headers.ts";
import { keysOf } from "../../../routing/affinity/request-keys.ts";
import { type AffinityRules, affinityRules } from "../../../routing/affinity/rules.ts";
import { affinityCookieLine, affinityCookieValues } from "../../../routing/affinity-cookie.ts";
import { networkOf } from "../../../routing/client-network.ts";
import { callerOf } from "../../../routing/idempotency.ts";
import type { ResponseHead } from "../../../routing/wire/heads.ts";
import type { EndpointSettings } from "../../../routing/wire/messages.ts";
import type { RequestSession } from "../../../routing/wire/sessions.ts";
import { gatewayKeys } from "../../contracts/keys.ts";
import type { CallPlace } from "../proxy/link-client.ts";
import type { EndpointOrigin } from "./endpoint-origin.ts";
import { cookieKey, type SessionOrder, SessionSearch } from "./session-search.ts";

/** The rules of a snapshot's settings, parsed once. */
const parsed = new WeakMap<object, { readonly rules: AffinityRules | undefined }>();

/** The rules of an endpoint; undefined where it has none. */
export function affinityOf({ affinity }: EndpointSettings): AffinityRules | undefined {
  if (affinity === undefined) return undefined;
  const known = parsed.get(affinity);
  if (known !== undefined) return known.rules;
  const rules = affinityRules(affinity.rules);
  parsed.set(affinity, { rules });
  return rules;
}

/** The session of one request. */
export class EdgeSession {
  /** As in the request's head. */
  readonly head: RequestSession;
  readonly order: SessionOrder;
  readonly #origin: EndpointOrigin;
  readonly #rules: AffinityRules;
  /** Of the cookie that the client sent. */
  readonly #claims: AffinityClaims | undefined;
  readonly #search: SessionSearch;

  private constructor(
    origin: EndpointOrigin,
    rules: AffinityRules,
    keys: readonly string[],
    claims: AffinityClaims | undefined,
    search: SessionSearch,
    order: SessionOrder,
  ) {
    this.#origin = origin;
    this.#rules = rules;
    this.#claims = claims;
    this.#search = search;
    this.head = { keys, ...(claims !== undefined && { container: claims.container }) };
    this.order = order;
  }

  /**
   * Finds the session of a request.
   * @param body whole, where a rule looks into it
   */
  static async of(
    origin: EndpointOrigin,
    rules: AffinityRules,
    request: Request,
    body?: Uint8Array,
  ): Promise<EdgeSession> {
    const { client, target } = origin;
    const { headers, method } = request;
    const claims = rules.usesCookie ? await claimsOf(origin, headers) : undefined;
    const keys = keysOf(rules, {
      method,
      target,
      headers,
      clientNetwork: networkOf(client.address),
      caller: () => JSON.stringify(callerOf(headers, client)),
      cookieId: claims?.id,
      body,
    });
    const search = new SessionSearch(origin, request, keys, claims);
    return new EdgeSession(origin, rules, keys, claims, search, await search.order());
  }

  /** Whether a call of it may run on this box alone, without a change of the session's place. */
  isAt(box: string | undefined): boolean {
    const { preferred, mayLeavePreferred } = this.order;
    return preferred === undefined || mayLeavePreferred === true || preferred === box;
  }

  /**
   * Learns the session's place from the head of a response.
   * @returns header lines for the client
   */
  async onAnswered({ session, headers }: ResponseHead, { box }: CallPlace): Promise<string[]> {
    if (session === undefined) return [];
    const { container, state } = session;
    const isElsewhere = state === "moved" || this.order.preferred !== box;
    this.#search.remember({ box, isElsewhere });
    const lines = state === "moved" ? ["postern-session", "moved"] : [];
    if (!this.#rules.usesCookie || isForAll(headers)) return lines;
    const claims = this.#claims;
    if (claims !== undefined) {
      const isTold = claims.box === box && claims.container === container;
      // Two pages of one browser may have a place each, which their own keys name: the cookie keeps to one of them.
      const isLedByAnother = state === "kept" && this.head.keys[0] !== cookieKey(claims);
      if (isTold || isLedByAnother) return lines;
    }
    const id = claims?.id ?? affinityId(crypto.getRandomValues(new Uint8Array(ID_BYTES)));
    lines.push("set-cookie", await this.#cookieLine({ id, box, container }));
    return lines;
  }

  /** The response to a client whose session is lost: its status, and header lines. */
  lossOf(): { readonly status?: number; readonly headers: readonly string[] } {
    // An MCP client begins a new session after 404 alone (MCP, "Session Management").
    const status = this.#rules.presets.has("mcp") ? { status: 404 } : {};
    if (this.#claims === undefined) return { ...status, headers: [] };
    // Else a browser would come back with it until it is closed.
    const ended = `${affinityCookieLine("", this.#origin.client.scheme)}; Max-Age=0`;
    return { ...status, headers: ["set-cookie", ended] };
  }

  async #cookieLine(claims: AffinityClaims): Promise<string> {
    const { env, snapshot, client } = this.#origin;
    const value = await signAffinityCookie(await gatewayKeys(env), snapshot, claims);
    return affinityCookieLine(value, client.scheme);
  }
}

const ID_BYTES = AFFINITY_ID_CHARACTERS;

/** Whether caches may keep a response for everybody (RFC 9111, 5.2.2): they would hand one client's cookie to all. */
function isForAll(headers: HeaderList): boolean {
  const control = getHeader(headers, "cache-control");
  return control !== undefined && /\b(?:public|s-maxage)\b/i.test(control);
}

/** The claims of the first cookie that this gateway made for the endpoint. */
async function claimsOf(
  { env, snapshot }: EndpointOrigin,
  headers: Headers,
): Promise<AffinityClaims | undefined> {
  for (const value of affinityCookieValues(headers.get("cookie"))) {
    const claims = await verifyAffinityCookie(await gatewayKeys(env), snapshot, value);
    if (claims !== undefined) return claims;
  }
  return undefined;
}

/**
 * One request and what the gateway knows of it so far, and the responses that it builds from that: the app's
 * with the gateway's own headers, and the gateway's own. Each response of an endpoint with CORS carries its
 * headers, errors and redirects too: without them the page that asked could not read the response.
 */
import { appendHeaders } from "../../../base/headers.ts";
import { type CorsSetting, ownCors, withCors } from "../../../routing/cors.ts";
import type { BudgetPart } from "../../../routing/budgets.ts";
import type { Uncount } from "../../../routing/counts.ts";
import { problem, type ProblemOptions } from "../../../routing/problem.ts";
import { budgetHeaders, rateHeaders } from "../../../routing/rate-headers.ts";
import type { TraceContext } from "../../../routing/trace-context.ts";
import { soleKeySubprotocol } from "../../../routing/wire/client-keys.ts";
import type { ErrorCode } from "../../../routing/wire/errors.ts";
import type { ResponseHead } from "../../../routing/wire/heads.ts";
import type { EndpointSettings, Failure } from "../../../routing/wire/messages.ts";
import { isBodiless, type ResponseBody } from "../../contracts/attempt.ts";
import type { Snapshot } from "../../contracts/names.ts";
import type { WaitingRequests } from "./waiting-requests.ts";
import { addAppHeaders, addOwnHeaders } from "./response-headers.ts";
import type { BudgetRefusal } from "./budgets.ts";
import type { RateExceeded } from "./rate-limits.ts";
import type { EdgeSession } from "./session-place.ts";
import { countBegun, countWaiting } from "./workspace-room.ts";

/** As a client reads them. */
const BUDGET_WORDS = {
  requests: "requests",
  "container-seconds": "seconds of containers",
} as const satisfies Record<BudgetPart, string>;

export class RequestContext {
  readonly request: Request;
  readonly startedAt = Date.now();
  /** The endpoint's setting; undefined until the endpoint is known. */
  cors: CorsSetting | undefined;
  /** The endpoint's `api`, likewise. */
  api: EndpointSettings["api"];
  /** Undefined until the endpoint is known. */
  asked: Pick<Snapshot, "workspace" | "endpoint"> | undefined;
  /** The proxy token that opened the endpoint. */
  token: string | undefined;
  /** Milliseconds until the endpoint was known. */
  routeMs = 0;
  /** Milliseconds that authorization took. */
  authMs = 0;
  callId: string | undefined;
  /** The trace that its call belongs to; undefined until the call's id is made. */
  trace: TraceContext | undefined;
  /** The code of the gateway's own response, where it made one. */
  code: ErrorCode | undefined;
  /** The client has closed its half of the connection, and does not wait for a response any more. */
  hasLeft = false;
  /** A Set-Cookie line of the gateway's own, for each response. */
  cookie: string | undefined;
  /** Its client waits for a stream, and hears signs of life meanwhile. */
  isLively = false;
  /** Where the endpoint has affinity. */
  session: EdgeSession | undefined;
  /** The endpoint's fallback has answered, and no box. */
  isFromFallback = false;
  #requestId: string | undefined;
  #isWaiting = false;
  #uncount: Uncount | undefined;

  constructor(request: Request) {
    this.request = request;
  }

  /** The client's own X-Request-Id where it is valid, else the call's id, else a new one. */
  get requestId(): string {
    this.#requestId ??= givenRequestId(this.request) ?? this.callId ?? crypto.randomUUID();
    return this.#requestId;
  }

  /** Counts the request among those of its workspace that have begun, until it has been answered. */
  begin(workspace: string): void {
    this.#uncount = countBegun(workspace);
  }

  /**
   * Counts the request among those that wait, and no more among those that have begun, until it has been answered or its client has left.
   * @param waiting where its client is counted too
   */
  countAsWaiting(workspace: string, address: string, waiting?: WaitingRequests): void {
    const { signal } = this.request;
    if (this.#isWaiting || signal.aborted) return;
    this.#isWaiting = true;
    this.#uncount?.();
    const uncount = countWaiting(workspace);
    const uncountClient = waiting?.add(address, workspace);
    this.#uncount = () => {
      uncount();
      uncountClient?.();
    };
    // A client that leaves ends this invocation: nothing after a wait would come.
    signal.addEventListener("abort", this.#uncount);
  }

  /** Its response begins. */
  answered(): void {
    this.#uncount?.();
  }

  /**
   * Builds the gateway's own response to a request that it refuses.
   * @param retryAfter seconds after which trying again makes sense, instead of the code's default; null: no time helps
   */
  refuse(code: ErrorCode, detail: string, retryAfter?: number | null): Response {
    return this.#refuse(code, detail, { retryAfter });
  }

  /** Builds the response to a request that was refused, or to a call that failed. */
  fail({ code, detail, retryAfter }: Failure): Response {
    return this.refuse(code, detail, retryAfter);
  }

  /** Builds the response to a request that a rate limit refuses. */
  limit({ scope, rate, waitMs }: RateExceeded): Response {
    const { perSecond, burst } = rate;
    const detail = `the limit of this ${scope} is ${perSecond} requests a second, and ${burst} at once`;
    const retryAfter = Math.max(1, Math.ceil(waitMs / 1000));
    return this.#refuse("rate_limited", detail, { retryAfter }, rateHeaders(scope, rate, waitMs));
  }

  /** Builds the response to a request for which its token's budget has no room. */
  refuseByBudget(refusal: BudgetRefusal): Response {
    if (refusal.kind === "unavailable") {
      return this.refuse("unavailable", "the budget of this token could not be looked up");
    }
    const { part, quota, waitMs } = refusal;
    const detail = `this token has ${quota} ${BUDGET_WORDS[part]} a day, until midnight UTC`;
    const retryAfter = Math.max(1, Math.ceil(waitMs / 1000));
    return this.#refuse("budget_spent", detail, { retryAfter }, budgetHeaders(part, quota, waitMs));
  }

  /**
   * Builds the response to a client whose session is lost.
   * @param loss the status where it is not the code's own, and header lines
   */
  loseSession(
    { code, detail }: Failure,
    { status, headers }: { readonly status?: number; readonly headers: readonly string[] },
  ): Response {
    return this.#refuse(code, detail, { status }, headers);
  }

  /** Builds the client's response from the app's. @param told lines of the gateway's own */
  passOn(head: ResponseHead, body: ResponseBody, told?: readonly string[]): Response {
    return this.#respond(head.status, this.#appHeaders(head, told), body);
  }

  /**
   * Builds the 101 of a WebSocket that the app took.
   * @param socket the client's end
   * @param told lines of the gateway's own
   */
  switchProtocols(head: ResponseHead, socket: WebSocket, told?: readonly string[]): Response {
    const headers = this.#appHeaders(head, told);
    const own = soleKeySubprotocol(this.request.headers.get("sec-websocket-protocol"));
    if (own !== undefined) headers.set("sec-websocket-protocol", own);
    return new Response(null, { status: 101, webSocket: socket, headers });
  }

  /**
   * Builds a response of the gateway's own.
   * @param headers names in lower case and values in turn
   */
  respond(status: number, headers: readonly string[], body: ResponseBody | string): Response {
    const cors =
      this.cors === undefined
        ? undefined
        : ownCors(this.cors, this.request.headers.get("origin"), status);
    const given = new Headers();
    appendHeaders(given, this.#withCors(cors, headers));
    return this.#respond(status, this.#identified(given), body);
  }

  #respond(status: number, headers: Headers, body: ResponseBody | string): Response {
    // RFC 9110, 9.3.2 and 6.4.1: no body for a HEAD (the app's own has none), nor with these statuses.
    const ours = this.request.method === "HEAD" && typeof body === "string";
    const given = isBodiless(status) || ours ? null : body;
    return new Response(given, { status, headers, encodeBody: "manual" });
  }

  #refuse(
    code: ErrorCode,
    detail: string,
    options: Omit<ProblemOptions, "accept">,
    lines: readonly string[] = [],
  ): Response {
    this.code = code;
    const { headers: asked } = this.request;
    const { status, headers, body } = problem(code, detail, {
      accept: asked.get("accept"),
      api: this.api,
      // Of the request's own headers alone: a 401 tells nothing about the endpoint.
      ...(code === "missing_credentials" && { members: { hint: keyHint(asked) } }),
      ...options,
    });
    return this.respond(status, [...Object.entries(headers).flat(), ...lines], body);
  }

  #appHeaders({ headers: given, timing }: ResponseHead, told?: readonly string[]): Headers {
    const headers = new Headers();
    addAppHeaders(headers, this.#withCors(this.cors, given), this.request);
    if (told !== undefined) appendHeaders(headers, told);
    return this.#identified(headers, timing);
  }

  #withCors(cors: CorsSetting | undefined, given: readonly string[]): readonly string[] {
    const isPlain = cors === undefined || cors === false;
    return isPlain ? given : withCors(cors, this.request.headers.get("origin"), given);
  }

  /** Adds what names the request and its call. */
  #identified(headers: Headers, timing?: ResponseHead["timing"]): Headers {
    const { requestId, callId, routeMs, authMs } = this;
    if (callId === undefined) headers.set("x-request-id", requestId);
    else addOwnHeaders(headers, { requestId, callId, routeMs, authMs }, timing);
    if (this.isFromFallback) headers.set("postern-fallback", "1");
    if (this.cookie !== undefined) headers.append("set-cookie", this.cookie);
    return headers;
  }
}

function givenRequestId(request: Request): string | undefined {
  const given = request.headers.get("x-request-id");
  return given !== null && /^[!-~]{1,128}$/.test(given) ? given : undefined;
}

/** Where the key goes that a request lacks. */
function keyHint(headers: Headers): string {
  return /\b(?:wk|pct)-/i.test(headers.get("authorization") ?? "")
    ? "write Bearer before the key in Authorization: it has no scheme, or another one"
    : "send Authorization: Bearer wk-….ws-…, or Modal-Key and Modal-Secret";
}

/**
 * One call between a client and the box, as the Worker leads it: open, pass the answer on, and when the
 * link or the `Origin` object breaks, attach again by call id and byte offset. The Worker holds the one
 * thing that nobody else has, the client's connection; the agent holds the call.
 */
import {
  contentLength,
  type Failure,
  type KeptCall,
  parseFailure,
  parseKeptCall,
  parseResponseHead,
  type ResponseHead,
} from "../routing/wire/messages.ts";
import type { ErrorCode } from "../routing/wire/errors.ts";
import { ProtocolError } from "../routing/wire/frames.ts";
import { DETACHED_MS, INITIAL_WINDOW_BYTES } from "../routing/wire/limits.ts";
import type { Ending } from "./attachment.ts";
import {
  candidatesOf,
  isLinkUp,
  linkName,
  mayGoElsewhere,
  noteAway,
  originStub,
} from "./box-links.ts";
import { type Env, requestTimeoutMs } from "./env.ts";
import { CLAIM_AFTER_MS, deskOf } from "./handover.ts";
import {
  ENDING,
  FAILURE,
  HEAD,
  KEPT,
  MORE,
  MOST_AT_A_TIME_BYTES,
  PATIENCE,
  VERB,
  WAIT,
  WHOLE,
} from "./internal.ts";
import type { BoxPlace } from "./names.ts";

/** Pause before another try when an object was reset; the agent needs about as long to dial again. */
const RETRY_MS = 100;

const NO_BODY = new Uint8Array(0);

/** What an answer is read into: starts small, because most answers are, and grows while reads fill it. */
const FIRST_BUFFER_BYTES = 4 * 1024;

export type Answer =
  | { kind: "answered"; head: ResponseHead; body: ReadableStream<Uint8Array> | null }
  /** It came by memory, in one piece: only where the call may be handed over. */
  | WholeAnswer
  /** The client's patience ended first: the call goes on, and its answer will be kept. */
  | { kind: "kept"; kept: KeptCall; box: string }
  | { kind: "failed"; failure: Failure };

interface WholeAnswer {
  kind: "whole";
  head: ResponseHead;
  body: Uint8Array | null;
}

/** A part of an answer as one attachment brought it. */
type Part =
  | WholeAnswer
  | { kind: "head"; head: ResponseHead; body: ReadableStream<Uint8Array> | null; more: boolean }
  | { kind: "kept"; kept: KeptCall }
  | { kind: "ended"; ending: Ending; failure: Failure };

/** Where a call is. */
export interface CallPlace {
  readonly id: string;
  readonly workspace: string;
  readonly box: string;
  readonly links: number;
}

export interface Call {
  readonly id: string;
  readonly workspace: string;
  /** Where it may run. */
  readonly boxes: readonly BoxPlace[];
  /** The RequestHead as ASCII JSON. */
  readonly head: string;
  readonly request: Request;
  /** It is under an Idempotency-Key: it may be asked for again, and does not run twice. */
  readonly keyed?: boolean;
  /** It may go to its object by memory (handover.ts). */
  readonly handedOver?: boolean;
}

/**
 * Runs a call and gives its answer; a failure means that no byte of an answer exists.
 * @param patienceMs how long the client waits for response headers, from the last byte of its body on
 */
export async function exchange(env: Env, call: Call, patienceMs: number): Promise<Answer> {
  let body: RequestBody;
  try {
    body = await requestBody(call.request, requestTimeoutMs(env));
  } catch {
    // The client left, or it closed its sending side too early and reads on, or it is too slow.
    return failed("upload_interrupted", "the request body did not arrive whole");
  }
  const openedAt = Date.now();
  let { part, place } = await open(env, call, body, patienceMs);
  // `no_link` says that nothing was sent; `link_lost` that something may have been.
  const until = openedAt + patienceMs + DETACHED_MS;
  while (part.kind === "ended" && part.ending === "link_lost" && Date.now() < until) {
    part = await attach(env, place, 0, Math.max(0, openedAt + patienceMs - Date.now()));
    if (part.kind !== "ended") break;
    const isAway = part.ending === "no_link";
    if (!isAway && part.failure.code !== "call_lost") continue;
    if (body instanceof ReadableStream) {
      return failed("upload_interrupted", "the link to the box broke during the upload");
    }
    if (isAway) {
      // Whoever asks again under the key gets this call's answer, when the box is back.
      if (call.keyed === true) break;
      return failed("call_lost", "the box that may have run this call did not come back");
    }
    const sameAgent = (part.failure.welcomedForMs ?? 0) > Date.now() - openedAt;
    if (!sameAgent) return failed("call_lost", "the agent that may have run this call is gone");
    ({ part, place } = await open(env, call, body, patienceMs));
  }
  return answerOf(env, place, part, 0);
}

/**
 * The answer of a call that somebody began before.
 * @param offset bytes of the body to leave out
 */
export async function collect(
  env: Env,
  call: CallPlace,
  patienceMs: number,
  offset = 0,
): Promise<Answer> {
  return answerOf(env, call, await attach(env, call, offset, patienceMs), offset);
}

function answerOf(env: Env, call: CallPlace, part: Part, offset: number): Answer {
  if (part.kind === "whole") return part;
  if (part.kind === "kept") return { ...part, box: call.box };
  if (part.kind === "ended") return { kind: "failed", failure: part.failure };
  const { head, body, more } = part;
  if (!more || body === null) return { kind: "answered", head, body };
  return { kind: "answered", head, body: resumable(env, call, head, body, offset) };
}

type RequestBody = Uint8Array | ReadableStream<Uint8Array> | null;

/**
 * A body that fits the opening frame is read whole, so that it can be sent again; others stream.
 * @param limitMs how long it may take; one that streams has the endpoint's `timeout`
 * @throws where it does not arrive whole
 */
async function requestBody(request: Request, limitMs: number): Promise<RequestBody> {
  if (request.body === null) return null;
  const declared = Number(request.headers.get("content-length") ?? Number.NaN);
  if (declared > INITIAL_WINDOW_BYTES || Number.isNaN(declared)) return request.body;
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(new Error("the body is late")), limitMs);
  try {
    return new Uint8Array(await Promise.race([request.arrayBuffer(), late.promise]));
  } finally {
    clearTimeout(timer);
  }
}

/** What one or more tries to open a call came to, and where the last one was. */
interface Opened {
  readonly part: Part;
  readonly place: CallPlace;
}

/** Opens the call on the first link that takes it. */
async function open(env: Env, call: Call, body: RequestBody, patienceMs: number): Promise<Opened> {
  const { id, workspace, boxes } = call;
  let opened: Opened | undefined;
  for (const { box, links, link, isLast } of candidatesOf(workspace, boxes)) {
    const place = { id, workspace, box, links };
    // A body that streams is given away with the first try: a link that is not there must not have it.
    const streams = body instanceof ReadableStream;
    const probed = streams && (boxes.length > 1 || links > 1);
    const absent = probed && !(await isLinkUp(env, workspace, { box, link }));
    const part = absent ? NO_LINK : await openOn(env, call, { place, link, body, patienceMs });
    const noLink = part.kind === "ended" && part.ending === "no_link";
    if (noLink && isLast) noteAway(workspace, box);
    // Of several refusals, one by a box that is there says more.
    if (opened === undefined || !noLink) opened = { part, place };
    if (part.kind !== "ended" || !mayGoElsewhere(part.ending, part.failure)) break;
    if (streams && !absent) break;
  }
  return opened ?? { part: NO_LINK, place: { id, workspace, box: "", links: 1 } };
}

interface Opening {
  readonly place: CallPlace;
  readonly link: number;
  readonly body: RequestBody;
  readonly patienceMs: number;
}

/** Opens the call on one link: by memory where its object is in this isolate, else by a request. */
async function openOn(env: Env, call: Call, opening: Opening): Promise<Part> {
  const handedOver = await handOver(env, call, opening);
  if (handedOver !== undefined) return handedOver;
  const { place, link, body, patienceMs } = opening;
  const headers: Record<string, string> = { [HEAD]: call.head, [PATIENCE]: `${patienceMs}` };
  if (body instanceof Uint8Array) headers[WHOLE] = "1";
  return await ask(env, place, link, VERB.open, { method: "POST", headers, body });
}

/** Opens the call by memory; undefined where it cannot be, and nothing was begun. */
async function handOver(env: Env, call: Call, opening: Opening): Promise<Part | undefined> {
  const { place, link, body, patienceMs } = opening;
  if (call.handedOver !== true || patienceMs <= CLAIM_AFTER_MS) return undefined;
  const desk = deskOf(linkName(place.workspace, place.box, link));
  if (desk === undefined || body instanceof ReadableStream) return undefined;
  const openedAt = Date.now();
  const outcome = await desk.handOver(call.id, call.head, body ?? NO_BODY);
  switch (outcome.kind) {
    case "answered":
      return wholePart(outcome.head, outcome.body);
    case "ended":
      return { kind: "ended", ending: outcome.ending, failure: parseFailure(outcome.failure) };
    case "runs": {
      const patience = Math.max(0, openedAt + patienceMs - Date.now());
      const headers: Record<string, string> = { [HEAD]: call.id, [PATIENCE]: `${patience}` };
      return await ask(env, place, link, VERB.claim, { headers });
    }
    case "not_begun":
      return undefined;
  }
}

function wholePart(head: string, body: Uint8Array): Part {
  try {
    return { kind: "whole", head: parseResponseHead(head), body: body.length === 0 ? null : body };
  } catch (error) {
    return senseless(error);
  }
}

/** What an agent said makes no sense. @throws any other error */
function senseless(error: unknown): Part {
  if (!(error instanceof ProtocolError)) throw error;
  return {
    kind: "ended",
    ending: "reset",
    failure: { code: "origin_error", detail: error.message },
  };
}

const NO_LINK: Part = {
  kind: "ended",
  ending: "no_link",
  failure: { code: "no_origin", detail: "the box is not connected" },
};

/** Attaches to the call; waits while the link is away, at most as long as the agent keeps the call. */
async function attach(
  env: Env,
  call: CallPlace,
  offset: number,
  patienceMs?: number,
): Promise<Part> {
  const headers: Record<string, string> = { [HEAD]: JSON.stringify({ call: call.id, offset }) };
  if (patienceMs !== undefined) headers[PATIENCE] = `${patienceMs}`;
  const { links } = call;
  // One link: its object wakes us when the agent is back. Several: the next one may be there already.
  if (links === 1) headers[WAIT] = "1";
  const until = Date.now() + DETACHED_MS;
  for (let tried = 0; ; tried += 1) {
    const part = await ask(env, call, tried % links, VERB.attach, { headers });
    const again =
      part.kind === "ended" &&
      (part.ending === "link_lost" || (part.ending === "no_link" && links > 1));
    if (!again || Date.now() > until) return part;
    await scheduler.wait(RETRY_MS);
  }
}

async function ask(
  env: Env,
  { workspace, box }: CallPlace,
  link: number,
  verb: string,
  init: RequestInit,
): Promise<Part> {
  let response: Response;
  try {
    response = await originStub(env, workspace, box, link).fetch(verb, init);
  } catch {
    // The object was reset. What it had sent, it had sent.
    return { kind: "ended", ending: "link_lost", failure: { code: "call_lost", detail: "" } };
  }
  try {
    return partOf(response);
  } catch (error) {
    await response.body?.cancel();
    return senseless(error);
  }
}

/** @throws ProtocolError where the agent's words make no sense */
function partOf(response: Response): Part {
  const head = response.headers.get(HEAD);
  if (head === null) {
    const kept = response.headers.get(KEPT);
    if (kept !== null) return { kind: "kept", kept: parseKeptCall(kept) };
    const ending = response.headers.get(ENDING) as Ending;
    return { kind: "ended", ending, failure: parseFailure(response.headers.get(FAILURE) ?? "{}") };
  }
  return {
    kind: "head",
    head: parseResponseHead(head),
    body: response.body,
    more: response.headers.has(MORE),
  };
}

/** The answer's body as one stream, however many attachments it takes. */
function resumable(
  env: Env,
  call: CallPlace,
  head: ResponseHead,
  first: ReadableStream<Uint8Array>,
  offset: number,
): ReadableStream<Uint8Array> {
  const source = new ResumingSource(env, call, first, offset);
  const body = new ReadableStream<Uint8Array>(source, { highWaterMark: 0 });
  // Where an answer declares its length, a short body is a broken one.
  const length = contentLength(head.headers);
  return length === undefined ? body : body.pipeThrough(new FixedLengthStream(length - offset));
}

/** An answer's bytes, read when the client takes them and counted, so that what breaks goes on there. */
class ResumingSource implements UnderlyingSource<Uint8Array> {
  readonly #env: Env;
  readonly #call: CallPlace;
  /** Undefined when the answer was complete where it was attached to. */
  #reader: ReadableStreamBYOBReader | undefined;
  #offset: number;
  #left = false;
  /** What is read into; a read takes it away. */
  #buffer = new ArrayBuffer(FIRST_BUFFER_BYTES);

  constructor(env: Env, call: CallPlace, first: ReadableStream<Uint8Array>, offset: number) {
    this.#env = env;
    this.#call = call;
    this.#reader = first.getReader({ mode: "byob" });
    this.#offset = offset;
  }

  /** @throws where the answer cannot be resumed: never a clean end, the client must see that it broke */
  async pull(controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> {
    for (;;) {
      const result = await this.#read();
      if (result === "broken") await this.#resume();
      else if (result === "end") {
        controller.close();
        return;
      } else {
        this.#offset += result.length;
        controller.enqueue(result);
        return;
      }
    }
  }

  async cancel(reason: unknown): Promise<void> {
    this.#left = true;
    await this.#reader?.cancel(reason).catch(() => undefined);
  }

  async #read(): Promise<Uint8Array | "end" | "broken"> {
    if (this.#reader === undefined) return "end";
    const size = this.#buffer.byteLength;
    let result: ReadableStreamReadResult<Uint8Array<ArrayBuffer>>;
    try {
      result = await this.#reader.read(new Uint8Array(this.#buffer));
    } catch {
      this.#buffer = new ArrayBuffer(size);
      return "broken";
    }
    if (result.done) return "end";
    const { value } = result;
    if (value.length < size / 2) {
      // The few bytes of an event are copied, and the buffer is read into again.
      this.#buffer = value.buffer;
      return value.slice();
    }
    const full = value.length === size && size < MOST_AT_A_TIME_BYTES;
    this.#buffer = new ArrayBuffer(full ? size * 2 : size);
    return value;
  }

  async #resume(): Promise<void> {
    const part = await attach(this.#env, this.#call, this.#offset);
    if (part.kind !== "head") {
      const why = part.kind === "ended" ? part.failure.detail : "it is not there any more";
      throw new Error(`the answer of call ${this.#call.id} broke off: ${why}`);
    }
    this.#reader = part.body?.getReader({ mode: "byob" });
    if (this.#left) await this.#reader?.cancel();
  }
}

function failed(code: ErrorCode, detail: string): Answer {
  return { kind: "failed", failure: { code, detail } };
}

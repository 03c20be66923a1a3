/**
 * Asks a box's agent itself instead of an app: the gateway's end of AGENT_OPERATIONS. An operation travels like
 * a call, in an OPEN that names it. The operation's schema checks the value that the agent answers with; an
 * invalid one is an `origin_error`.
 */
import { err, ok, type Result } from "../../../base/result.ts";
import { within } from "../../../base/runtime/within.ts";
import { contentLength } from "../../../routing/wire/heads.ts";
import { ProtocolError } from "../../../routing/wire/frames.ts";
import { INITIAL_WINDOW_BYTES } from "../../../routing/wire/limits.ts";
import type { Failure } from "../../../routing/wire/messages.ts";
import {
  AGENT_OPERATIONS,
  type AgentOperationName,
  type AgentOperationParameters,
  type AgentOperationValue,
  operationHead,
  parseOperationValue,
} from "../../../routing/wire/agent-operations.ts";
import {
  asciiJson,
  type Attempt,
  discardBody,
  type ResponseBody,
} from "../../contracts/attempt.ts";
import type { Env } from "../../contracts/env.ts";
import type { BoxPlace } from "../../contracts/names.ts";
import type { OutgoingCall } from "./open-on-link.ts";
import { proxyRequest } from "./proxy-request.ts";
import { RequestHeadText } from "./request-head-text.ts";

/** An agent that is there refuses in time by itself. */
const GRACE_MS = 5_000;

/** One box's agent, as far as it is asked. */
export interface AgentPlace {
  readonly workspace: string;
  readonly box: BoxPlace;
}

/** A request's bytes, whose number is known. */
export interface OperationContent {
  readonly bytes: number;
  readonly stream: ReadableStream<Uint8Array>;
}

/** Bytes on their way: packed code, a file, or lines of logs. */
export interface OperationBytes {
  /** Undefined where the agent does not say. */
  readonly length: number | undefined;
  readonly body: ResponseBody;
}

/**
 * Asks for an operation's value; undefined where it has none. An agent that does not answer in time is given up;
 * its stream ends with the request that asks.
 */
export async function askAgent<Name extends AgentOperationName>(
  env: Env,
  place: AgentPlace,
  name: Name,
  parameters: AgentOperationParameters<Name>,
  content?: OperationContent,
): Promise<Result<AgentOperationValue<Name>, Failure>> {
  const limitMs = AGENT_OPERATIONS[name].timeoutMs + GRACE_MS;
  const answer = await within(limitMs, askForText(env, place, name, parameters, content));
  if (answer === undefined) return err(NO_ANSWER);
  if (!answer.ok) return answer;
  try {
    return ok(parseOperationValue(name, answer.value));
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    return err({ code: "origin_error", detail: error.message });
  }
}

/** Asks for an operation's bytes. The caller reads or discards them. */
export async function askAgentForBytes<Name extends "getCode" | "getFile" | "containerLogs">(
  env: Env,
  place: AgentPlace,
  name: Name,
  parameters: AgentOperationParameters<Name>,
): Promise<Result<OperationBytes, Failure>> {
  const attempt = await open(env, place, name, parameters);
  if (!attempt.ok) return attempt;
  const { head, body } = attempt.value;
  return ok({ length: contentLength(head.headers), body });
}

async function askForText<Name extends AgentOperationName>(
  env: Env,
  place: AgentPlace,
  name: Name,
  parameters: AgentOperationParameters<Name>,
  content?: OperationContent,
): Promise<Result<string, Failure>> {
  const attempt = await open(env, place, name, parameters, content);
  if (!attempt.ok) return attempt;
  const text = await readText(attempt.value.body);
  return text === undefined ? err(NO_ANSWER) : ok(text);
}

type ResponseAttempt = Extract<Attempt, { kind: "response" }>;

async function open<Name extends AgentOperationName>(
  env: Env,
  { workspace, box }: AgentPlace,
  name: Name,
  parameters: AgentOperationParameters<Name>,
  content?: OperationContent,
): Promise<Result<ResponseAttempt, Failure>> {
  const request = new Request("http://agent/", {
    method: content === undefined ? "GET" : "PUT",
    ...(content !== undefined && {
      headers: { "content-length": `${content.bytes}` },
      body: content.stream,
    }),
  });
  const { timeoutMs } = AGENT_OPERATIONS[name];
  const call: OutgoingCall = {
    callId: crypto.randomUUID(),
    workspace,
    boxes: [box],
    head: new RequestHeadText(() => asciiJson(JSON.stringify(operationHead(name, parameters)))),
    request,
    terms: { method: request.method, isKeyed: false, isDurable: false },
  };
  const { attempt } = await proxyRequest(env, call, timeoutMs);
  if (attempt.kind === "failed") return err(attempt.failure);
  if (attempt.kind !== "response") return err(NO_ANSWER);
  if (attempt.head.status === 200 || attempt.head.status === 204) return ok(attempt);
  await discardBody(attempt.body);
  return err(NO_ANSWER);
}

const NO_ANSWER: Failure = { code: "unavailable", detail: "the box did not answer as it should" };

/** A JSON value is whole in the first window; undefined for a body that is larger, which no agent of ours sends. */
async function readText(body: ResponseBody): Promise<string | undefined> {
  if (body === null) return "";
  if (body instanceof Uint8Array) return new TextDecoder().decode(body);
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of body) {
    text += decoder.decode(chunk, { stream: true });
    // Leaving the loop cancels the stream.
    if (text.length > INITIAL_WINDOW_BYTES) return undefined;
  }
  return text + decoder.decode();
}

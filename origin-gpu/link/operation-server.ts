/**
 * Answers operations (routing/wire/agent-operations.ts) at the agent: finds the handler of an OPEN that names one,
 * with its parameters read by the table's schema, and forms what the handler says into frames.
 */
import type { OperationHead } from "../../routing/wire/heads.ts";
import type { Failure } from "../../routing/wire/messages.ts";
import { NO_EVENTS, type Stream, type StreamEvents } from "../../routing/wire/multiplexer.ts";
import {
  type AgentOperationName,
  type AgentOperationParameters,
  type AgentOperationValue,
  isAgentOperation,
  parseParameters,
} from "../../routing/wire/agent-operations.ts";
import { ProtocolError } from "../../routing/wire/frames.ts";

/** A stream that an OPEN has begun, with the first bytes of its body. */
export interface OpenedStream {
  readonly stream: Stream;
  readonly body: Uint8Array;
  readonly end: boolean;
}

/** One handler an operation. It answers on the stream, now or later. */
export type OperationHandlers<Names extends AgentOperationName = AgentOperationName> = {
  readonly [Name in Names]: (
    parameters: AgentOperationParameters<Name>,
    request: OpenedStream,
  ) => StreamEvents;
};

/** Gives an operation to its handler. One that is unknown, or whose parameters are wrong, is refused. */
export function serveOperation(
  { operation, parameters }: OperationHead,
  request: OpenedStream,
  handlers: OperationHandlers,
): StreamEvents {
  const { stream } = request;
  if (!isAgentOperation(operation)) {
    return refuse(stream, { code: "not_supported", detail: "this agent is older: update it" });
  }
  try {
    return handle(operation, parameters, request, handlers);
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    return refuse(stream, { code: "bad_request", detail: error.message });
  }
}

function handle<Name extends AgentOperationName>(
  name: Name,
  parameters: unknown,
  request: OpenedStream,
  handlers: OperationHandlers<Name>,
): StreamEvents {
  return handlers[name](parseParameters(name, parameters), request);
}

/** Answers with the operation's JSON value, whole in one frame. */
export function reply<Name extends AgentOperationName>(
  stream: Stream,
  _name: Name,
  value: AgentOperationValue<Name>,
): StreamEvents {
  const body = Buffer.from(JSON.stringify(value));
  // The initial window is short while the link's streams hold much.
  if (body.length > stream.window) {
    const detail = "the link is busy; ask again";
    return refuse(stream, { code: "unavailable", detail, retryAfter: 1 });
  }
  stream.sendHead(responseHead(200, ["content-type", "application/json"]), [body], true);
  return NO_EVENTS;
}

/** Answers an operation that has no value. */
export function replyNothing(stream: Stream): StreamEvents {
  stream.sendHead(responseHead(204), [], true);
  return NO_EVENTS;
}

export function refuse(stream: Stream, failure: Failure): StreamEvents {
  stream.refuse(failure);
  return NO_EVENTS;
}

/** A ResponseHead as JSON. */
export function responseHead(status: number, headers: readonly string[] = []): string {
  return JSON.stringify({ status, headers });
}

/**
 * Operations on this box's code: the gateway brings packed code, or asks for it on behalf of another box. No operation
 * asks whose code it is, since a box belongs to one workspace.
 */
import { messageOf } from "../../base/thrown.ts";
import type { Failure } from "../../routing/wire/messages.ts";
import type { StreamEvents } from "../../routing/wire/multiplexer.ts";
import { RequestBody } from "../calls/request-body.ts";
import { BytesDelivery } from "../link/bytes-delivery.ts";
import {
  type OperationHandlers,
  type OpenedStream,
  refuse,
  replyNothing,
} from "../link/operation-server.ts";
import { CodeRefused } from "./code-refused.ts";
import type { CodeStore } from "./code-store.ts";

export type CodeOperation = "hasCode" | "putCode" | "getCode";

/** @param log one line for the operator */
export function codeOperations(
  store: CodeStore,
  log: (line: string) => void,
): OperationHandlers<CodeOperation> {
  return {
    hasCode: ({ hash }, { stream }) =>
      store.has(hash) ? replyNothing(stream) : refuse(stream, lacking(hash)),
    putCode: ({ hash }, request) => receive(request, hash, store, log),
    getCode: ({ hash }, { stream }) => {
      const failure = (error: unknown): Failure => failureOf(error, log);
      return new BytesDelivery(stream, async () => await store.read(hash), lacking(hash), failure);
    },
  };
}

/** Answers when the code is on the disk for good. */
function receive(
  { stream, body: first, end }: OpenedStream,
  hash: string,
  store: CodeStore,
  log: (line: string) => void,
): StreamEvents {
  const body = new RequestBody(stream, first, end);
  store.receive(hash, body.chunks()).then(
    () => {
      if (!stream.closed) replyNothing(stream);
    },
    (error: unknown) => {
      if (!stream.closed) refuse(stream, failureOf(error, log));
    },
  );
  return {
    onData: (bytes, last) => body.push(bytes, last),
    onEnd: () => body.abort(),
  };
}

function lacking(hash: string): Failure {
  return { code: "not_found", detail: `the box lacks the code ${hash}` };
}

/** The failure as the gateway may know it. A fault of the box itself goes to its operator's log. */
function failureOf(error: unknown, log: (line: string) => void): Failure {
  if (error instanceof CodeRefused) return { code: error.code, detail: error.message };
  log(`postern: code can't be stored: ${messageOf(error)}`);
  return { code: "unavailable", detail: "the box can't store code now; its log says why" };
}

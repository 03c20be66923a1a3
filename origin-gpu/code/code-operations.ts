/**
 * Operations on this box's code: the gateway brings packed code, or asks for it on behalf of another box. No operation
 * asks whose code it is, since a box belongs to one workspace.
 */
import type { Failure } from "../../routing/wire/messages.ts";
import type { Stream, StreamEvents } from "../../routing/wire/multiplexer.ts";
import { StreamWriter } from "../../routing/wire/stream-writer.ts";
import { RequestBody } from "../calls/request-body.ts";
import {
  type OperationHandlers,
  type OpenedStream,
  refuse,
  replyNothing,
  responseHead,
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
    getCode: ({ hash }, { stream }) => new CodeDelivery(stream, hash, store, log),
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

/** Packed code on its way out, as fast as the window opens. */
class CodeDelivery implements StreamEvents {
  readonly #stream: Stream;
  readonly #writer: StreamWriter;

  constructor(stream: Stream, hash: string, store: CodeStore, log: (line: string) => void) {
    this.#stream = stream;
    this.#writer = new StreamWriter(stream);
    this.#run(hash, store).catch((error: unknown) => {
      if (!stream.closed) stream.reset(failureOf(error, log));
    });
  }

  onData(): void {
    // The operation has no body.
  }

  onWindow(): void {
    this.#writer.wake();
  }

  onEnd(): void {
    this.#writer.wake();
  }

  async #run(hash: string, store: CodeStore): Promise<void> {
    const stream = this.#stream;
    const found = await store.read(hash);
    if (found === undefined) {
      if (!stream.closed) refuse(stream, lacking(hash));
      return;
    }
    try {
      if (stream.closed) return;
      stream.sendHead(responseHead(200, ["content-length", String(found.bytes)]));
      for await (const chunk of found.content as AsyncIterable<Uint8Array>) {
        if (!(await this.#writer.write(chunk))) return;
      }
      stream.sendData([], true);
    } finally {
      found.content.destroy();
    }
  }
}

function lacking(hash: string): Failure {
  return { code: "not_found", detail: `the box lacks the code ${hash}` };
}

/** The failure as the gateway may know it. A fault of the box itself goes to its operator's log. */
function failureOf(error: unknown, log: (line: string) => void): Failure {
  if (error instanceof CodeRefused) return { code: error.code, detail: error.message };
  log(`postern: code can't be stored: ${error instanceof Error ? error.message : String(error)}`);
  return { code: "unavailable", detail: "the box can't store code now; its log says why" };
}

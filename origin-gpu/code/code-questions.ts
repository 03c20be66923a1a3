/**
 * Code on the link: a gateway brings packed code to this box, or asks for it on behalf of another one.
 * Both are questions to the agent itself (docs/protocol.md), with a body in one direction.
 */
import { MAX_DATA_BYTES } from "../../routing/wire/limits.ts";
import type { RequestHead } from "../../routing/wire/heads.ts";
import type { Failure } from "../../routing/wire/messages.ts";
import { NO_EVENTS, type Stream, type StreamEvents } from "../../routing/wire/multiplexer.ts";
import { RequestBody } from "../calls/request-body.ts";
import { CodeRefused } from "./code-refused.ts";
import type { CodeStore } from "./code-store.ts";

const TARGET = /^\/code\/([0-9a-f]{64})$/;

/** What came with the question. */
export interface QuestionBody {
  readonly body: Uint8Array;
  readonly end: boolean;
}

/**
 * Answers `PUT /code/{hash}` (204 when the code is on the disk for good), `GET` and `HEAD`; undefined for
 * other questions. Whose code it is has been decided: a box belongs to one workspace.
 */
export function answerCodeQuestion(
  stream: Stream,
  { method, target }: Pick<RequestHead, "method" | "target">,
  { body, end }: QuestionBody,
  store: CodeStore,
  log: (line: string) => void,
): StreamEvents | undefined {
  const hash = TARGET.exec(target)?.[1];
  if (hash === undefined) return undefined;
  if (method === "PUT")
    return receive(stream, hash, new RequestBody(stream, body, end), store, log);
  if (method === "GET") return new CodeAnswer(stream, hash, store, log);
  if (method !== "HEAD") {
    stream.refuse({ code: "method_not_allowed", detail: "code takes GET, HEAD and PUT" });
  } else if (store.has(hash)) stream.sendHead(head(200), [], true);
  else stream.refuse(lacking(hash));
  return NO_EVENTS;
}

function receive(
  stream: Stream,
  hash: string,
  body: RequestBody,
  store: CodeStore,
  log: (line: string) => void,
): StreamEvents {
  store.receive(hash, body.chunks()).then(
    () => {
      if (!stream.closed) stream.sendHead(head(204), [], true);
    },
    (error: unknown) => {
      if (!stream.closed) stream.refuse(failure(error, log));
    },
  );
  return {
    onData: (bytes, last) => body.push(bytes, last),
    onEnd: () => body.abort(),
  };
}

/** Packed code on its way out, as fast as the window opens. */
class CodeAnswer implements StreamEvents {
  readonly #stream: Stream;
  #windowOpened: (() => void) | undefined;

  constructor(stream: Stream, hash: string, store: CodeStore, log: (line: string) => void) {
    this.#stream = stream;
    this.#send(hash, store).catch((error: unknown) => {
      if (!stream.closed) stream.reset(failure(error, log));
    });
  }

  onData(): void {
    // A question for code has no body.
  }

  onWindow(): void {
    this.#windowOpened?.();
  }

  onEnd(): void {
    this.#windowOpened?.();
  }

  async #send(hash: string, store: CodeStore): Promise<void> {
    const stream = this.#stream;
    const found = await store.read(hash);
    if (found === undefined) {
      if (!stream.closed) stream.refuse(lacking(hash));
      return;
    }
    try {
      if (stream.closed) return;
      stream.sendHead(head(200, ["content-length", String(found.bytes)]));
      for await (const chunk of found.content as AsyncIterable<Uint8Array>) {
        if (!(await this.#sendChunk(chunk))) return;
      }
      stream.sendData([], true);
    } finally {
      found.content.destroy();
    }
  }

  /** @returns whether somebody still wants the rest */
  async #sendChunk(chunk: Uint8Array): Promise<boolean> {
    const stream = this.#stream;
    for (let at = 0; at < chunk.length;) {
      while (stream.window === 0 && !stream.closed) {
        await new Promise<void>((resolve) => {
          this.#windowOpened = resolve;
        });
      }
      if (stream.closed) return false;
      const part = chunk.subarray(at, at + Math.min(stream.window, MAX_DATA_BYTES));
      stream.sendData([part]);
      at += part.length;
    }
    return !stream.closed;
  }
}

function head(status: number, headers: readonly string[] = []): string {
  return JSON.stringify({ status, headers });
}

function lacking(hash: string): Failure {
  return { code: "not_found", detail: `the box lacks the code ${hash}` };
}

/** What the asker may know; what is wrong with the box itself is for its operator. */
function failure(error: unknown, log: (line: string) => void): Failure {
  if (error instanceof CodeRefused) return { code: error.code, detail: error.message };
  log(`postern: code can't be kept: ${error instanceof Error ? error.message : String(error)}`);
  return { code: "unavailable", detail: "the box can't keep code now; its log says why" };
}

/** The way of a stream that the gateway opens, into the agent: a call, an operation, or a client that attaches. */
import { parseOpenHead, type RequestHead } from "../routing/wire/heads.ts";
import { parseAttach } from "../routing/wire/messages.ts";
import type { Acceptor, StreamEvents } from "../routing/wire/multiplexer.ts";
import type { Stopping } from "./admitted-calls.ts";
import type { AppRuntimes } from "./apps/app-runtimes.ts";
import type { CallRegistry } from "./calls/call-registry.ts";
import type { EarlyStreams } from "./link/early-streams.ts";
import type { Link } from "./link/link.ts";
import {
  type OpenedStream,
  type OperationHandlers,
  serveOperation,
} from "./link/operation-server.ts";
import { openCall } from "./open-call.ts";

const NO_BODY = new Uint8Array(0);

/** Takes streams, once the stored calls are read. */
export type StreamTaker = Readonly<{ calls: CallRegistry; handlers: OperationHandlers }>;

export interface AcceptorOptions {
  /** Streams wait there until the stored calls are read. */
  readonly streams: EarlyStreams<StreamTaker>;
  readonly apps: Pick<AppRuntimes, "find">;
  readonly stopping: () => Stopping;
}

export function streamAcceptor(options: AcceptorOptions, link: Link): Acceptor {
  const { streams } = options;
  return {
    onOpen: (stream, text, first, end) => {
      const head = parseOpenHead(text);
      return streams.take(stream, first, ({ calls, handlers }, body) =>
        "operation" in head
          ? serveOperation(head, { stream, body, end }, handlers)
          : open(options, { calls, link }, { stream, body, end }, head),
      );
    },
    onAttach: (stream, text) => {
      const request = parseAttach(text);
      return streams.take(stream, NO_BODY, ({ calls }) => calls.attach(stream, link, request));
    },
  };
}

function open(
  { apps, stopping }: AcceptorOptions,
  { calls, link }: Readonly<{ calls: CallRegistry; link: Link }>,
  { stream, body, end }: OpenedStream,
  head: RequestHead,
): StreamEvents {
  const served = apps.find(head.endpoint);
  if (stopping() === undefined && served === undefined) {
    // A call of an app that has other boxes now: its key still finds it here.
    const joined = calls.keys.join(stream, link, head, { body, end });
    if (joined !== undefined) return joined;
  }
  return openCall({ calls, link, stopping }, served, { stream, body, end }, head);
}

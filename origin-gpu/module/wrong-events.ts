/** The errors that an app's `send` rejects with. */
import { validateHeaderName, validateHeaderValue } from "node:http";

import type { SentHeader } from "./asgi.d.ts";

/** The event reaches nobody: the client has left. */
export class ClientLeft extends Error {
  readonly code = "EPIPE";

  constructor() {
    super("the client has left");
    this.name = "ClientLeft";
  }
}

/** An event that may not come now, or that says what can't be. */
export class WrongEvent extends Error {
  constructor(message: string) {
    super(message);
    this.name = "WrongEvent";
  }
}

export function outOfOrder(expected: string, { type }: { readonly type: string }): WrongEvent {
  return new WrongEvent(`expected ${expected}, and the app sent ${JSON.stringify(type)}`);
}

/** Names and values in turn, as node:http takes them. @throws for a name or a value that HTTP does not allow */
export function headerLines(headers: Iterable<SentHeader> = []): string[] {
  const lines: string[] = [];
  for (const [name, value] of headers) {
    const line = [latin1(name), latin1(value)] as const;
    validateHeaderName(line[0]);
    validateHeaderValue(...line);
    lines.push(...line);
  }
  return lines;
}

function latin1(text: string | Uint8Array): string {
  return typeof text === "string" ? text : Buffer.from(text).toString("latin1");
}

/**
 * A `send` that the app does not await ends no process when its client has left. Those who await it get the error.
 * Not async: the promise that the app gets is the one that is handled.
 */
// oxlint-disable-next-line typescript/promise-function-async
export function handled(sent: Promise<void>): Promise<void> {
  sent.catch(() => undefined);
  return sent;
}

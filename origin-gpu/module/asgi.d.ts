/**
 * ASGI for TypeScript: what Postern and an app of the kind `module` say to each other. The messages, their names and
 * their order are those of ASGI 3.0 (HTTP & WebSocket 2.5, lifespan 2.0). Types alone: `import type` takes them.
 *
 * Where ASGI has byte strings:
 * - Headers, `raw_path` and `query_string` are strings with one character for each byte (Latin-1). Names of headers
 *   are in lower case. An app may send such strings, or bytes.
 * - Bodies and binary messages are `Uint8Array`. A body that an app sends may be a string, which leaves as UTF-8. Bytes
 *   that were sent may not be changed afterwards.
 *
 * An absent member is what ASGI calls None.
 */

/**
 * An app: called once for each request and each WebSocket, and once for the process (`lifespan`). It ends with what it
 * was called for. One that throws on `lifespan` before it receives anything is served without lifespan events.
 */
export type Application = (scope: AsgiScope, receive: Receive, send: Send) => Promise<void>;

/** Resolves with the next event. After the last one it resolves with that again. */
export type Receive = () => Promise<ReceivedEvent>;

/**
 * Resolves when there is room for more. Rejects with `code: "EPIPE"` when the client has left, and with what is wrong
 * about a message that may not come now.
 */
export type Send = (event: SentEvent) => Promise<void>;

export type AsgiScope = HttpScope | WebSocketScope | LifespanScope;

/** Name in lower case and value, one character for each byte. */
export type ReceivedHeader = readonly [name: string, value: string];

export type SentHeader = readonly [name: string | Uint8Array, value: string | Uint8Array];

export interface AsgiVersion {
  readonly version: "3.0";
  readonly spec_version: string;
}

/** The members that the scopes of a request and of a WebSocket's handshake share. */
export interface ConnectionScope {
  readonly asgi: AsgiVersion;
  readonly http_version: string;
  /** Percent-decoded, as UTF-8. */
  readonly path: string;
  /** As it came, without the query. */
  readonly raw_path: string;
  /** Without the question mark. */
  readonly query_string: string;
  readonly root_path: string;
  /** In the order in which they came. */
  readonly headers: readonly ReceivedHeader[];
  /** The client's own address, as the gateway saw it. */
  readonly client: readonly [host: string, port: number];
  readonly server: readonly [host: string, port: number];
  /** A copy of the lifespan's `state`, whose values are the same objects. */
  readonly state: Record<string, unknown>;
}

export interface HttpScope extends ConnectionScope {
  readonly type: "http";
  readonly method: string;
  readonly scheme: "http" | "https";
  readonly extensions: Readonly<Record<string, never>>;
}

export interface WebSocketScope extends ConnectionScope {
  readonly type: "websocket";
  readonly scheme: "ws" | "wss";
  readonly subprotocols: readonly string[];
  /** A WebSocket may be refused by a response of the app's own. */
  readonly extensions: { readonly "websocket.http.response": Readonly<Record<string, never>> };
}

export interface LifespanScope {
  readonly type: "lifespan";
  readonly asgi: AsgiVersion;
  /** Each later scope has a copy of it, with what the app has put here. */
  readonly state: Record<string, unknown>;
}

export type ReceivedEvent =
  | HttpRequestEvent
  | HttpDisconnectEvent
  | WebSocketConnectEvent
  | WebSocketReceiveEvent
  | WebSocketDisconnectEvent
  | LifespanEvent;

/** A part of the request's body; the last one has `more_body: false`. */
export interface HttpRequestEvent {
  readonly type: "http.request";
  readonly body: Uint8Array;
  readonly more_body: boolean;
}

/** The client has left, or the response is complete. */
export interface HttpDisconnectEvent {
  readonly type: "http.disconnect";
}

export interface WebSocketConnectEvent {
  readonly type: "websocket.connect";
}

/** A whole message: it has `text` or `bytes`. */
export type WebSocketReceiveEvent =
  | { readonly type: "websocket.receive"; readonly text: string; readonly bytes?: undefined }
  | { readonly type: "websocket.receive"; readonly bytes: Uint8Array; readonly text?: undefined };

/** The code is the client's, or 1005 where its Close had none, 1006 where there was no Close, 1012 where the box stops. */
export interface WebSocketDisconnectEvent {
  readonly type: "websocket.disconnect";
  readonly code: number;
  readonly reason: string;
}

export interface LifespanEvent {
  readonly type: "lifespan.startup" | "lifespan.shutdown";
}

export type SentEvent =
  | HttpStartEvent
  | HttpBodyEvent
  | WebSocketAcceptEvent
  | WebSocketSendEvent
  | WebSocketCloseEvent
  | LifespanCompleteEvent
  | LifespanFailedEvent;

/** Leaves with the first body event. The second type refuses a WebSocket. */
export interface HttpStartEvent {
  readonly type: "http.response.start" | "websocket.http.response.start";
  /** From 200 to 999. */
  readonly status: number;
  readonly headers?: Iterable<SentHeader>;
}

/** A part of the response's body; the last one is without `more_body`. */
export interface HttpBodyEvent {
  readonly type: "http.response.body" | "websocket.http.response.body";
  readonly body?: string | Uint8Array;
  readonly more_body?: boolean;
}

export interface WebSocketAcceptEvent {
  readonly type: "websocket.accept";
  /** One of the scope's. */
  readonly subprotocol?: string;
  readonly headers?: Iterable<SentHeader>;
}

/** A message: `text` or `bytes`. */
export interface WebSocketSendEvent {
  readonly type: "websocket.send";
  readonly text?: string;
  readonly bytes?: Uint8Array;
}

/** Before `websocket.accept` it refuses the WebSocket with 403. */
export interface WebSocketCloseEvent {
  readonly type: "websocket.close";
  /** 1000 where it is absent. */
  readonly code?: number;
  readonly reason?: string;
}

export interface LifespanCompleteEvent {
  readonly type: "lifespan.startup.complete" | "lifespan.shutdown.complete";
}

/** The container does not start, and its log has the message. */
export interface LifespanFailedEvent {
  readonly type: "lifespan.startup.failed" | "lifespan.shutdown.failed";
  readonly message?: string;
}

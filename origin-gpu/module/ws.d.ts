/** The part of the package `ws` that the server of TypeScript apps uses. */
declare module "ws" {
  import type { EventEmitter } from "node:events";
  import type { IncomingMessage } from "node:http";
  import type { Duplex } from "node:stream";

  export interface ServerOptions {
    noServer: true;
    clientTracking: false;
    /** Bytes of a message; one that is longer closes with 1009. */
    maxPayload: number;
    /** Milliseconds from a Close frame until the connection is destroyed that has not ended. */
    closeTimeout: number;
    /** Of the subprotocols that the client offers; false: none. Called only where it offers any. */
    handleProtocols: (offered: Set<string>, request: IncomingMessage) => string | false;
  }

  export class WebSocketServer extends EventEmitter {
    constructor(options: ServerOptions);
    /** Answers a handshake that is wrong itself. */
    handleUpgrade(
      request: IncomingMessage,
      socket: Duplex,
      head: Buffer,
      onOpen: (socket: WebSocket) => void,
    ): void;
  }

  export class WebSocket extends EventEmitter {
    /** @param onWritten called when the socket has taken it, or could not */
    send(
      data: string | Uint8Array,
      options: { binary: boolean },
      onWritten: (error?: Error | null) => void,
    ): void;
    close(code: number, reason: string): void;
    terminate(): void;
    pause(): void;
    resume(): void;
  }
}

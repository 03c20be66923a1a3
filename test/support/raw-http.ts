/**
 * HTTP/1.1 over a bare socket, for tests that need to send exactly these bytes or to see exactly what
 * came back: every header line as it was, and whether a body ended as its framing says or was cut.
 * It decodes one response at a time and repairs nothing.
 */
import { type Socket, connect } from "node:net";

const DEFAULT_TIMEOUT_MS = 10_000;

export interface RawHead {
  readonly statusLine: string;
  readonly status: number;
  /** Name and value of each line in order; values are Latin-1, one character per byte. */
  readonly headers: readonly (readonly [name: string, value: string])[];
}

export interface RawResponse extends RawHead {
  readonly body: Buffer;
  /** `complete`: as long as its framing says; `cut`: the connection ended inside the body. */
  readonly ending: "complete" | "cut";
}

/** The values of all lines with this name, in order. */
export function headerValues(head: RawHead, name: string): string[] {
  return head.headers
    .filter(([key]) => key.toLowerCase() === name.toLowerCase())
    .map(([, value]) => value);
}

/** The connection ended before a whole response head arrived. */
export class ConnectionClosed extends Error {
  readonly received: Buffer;
  constructor(received: Buffer) {
    super(`connection closed after ${received.length} bytes of a response`);
    this.name = "ConnectionClosed";
    this.received = received;
  }
}

/** One client connection under the test's full control. */
export class RawConnection {
  readonly socket: Socket;
  readonly #closed: Promise<"end" | "reset">;
  #buffer: Buffer = Buffer.alloc(0);
  #over = false;
  #wake: () => void = () => undefined;

  private constructor(socket: Socket) {
    this.socket = socket;
    this.#closed = new Promise((resolve) => {
      socket.once("end", () => resolve("end"));
      socket.once("error", () => resolve("reset"));
      socket.once("close", () => resolve("reset"));
    });
    socket.on("data", (chunk: Buffer) => {
      this.#buffer = this.#buffer.length === 0 ? chunk : Buffer.concat([this.#buffer, chunk]);
      this.#wake();
    });
    for (const event of ["end", "error", "close"]) {
      socket.on(event, () => {
        this.#over = true;
        this.#wake();
      });
    }
  }

  /** @param localAddress where the connection comes from; each address of 127.0.0.0/8 is this machine */
  static async connect(port: number, localAddress?: string): Promise<RawConnection> {
    const socket = connect({
      port,
      host: "127.0.0.1",
      allowHalfOpen: true,
      noDelay: true,
      ...(localAddress !== undefined && { localAddress }),
    });
    await new Promise<void>((resolve, reject) => {
      socket.once("connect", resolve);
      socket.once("error", reject);
    });
    return new RawConnection(socket);
  }

  /** Sends text as Latin-1 (one byte per character) or bytes as they are. */
  send(bytes: string | Uint8Array): void {
    this.socket.write(typeof bytes === "string" ? Buffer.from(bytes, "latin1") : bytes);
  }

  /** Sends FIN; answers can still be read. */
  finish(): void {
    this.socket.end();
  }

  /** Sends RST. */
  reset(): void {
    this.socket.resetAndDestroy();
  }

  /** Reads one response whole. `method` matters because an answer to HEAD has no body. */
  async response(method = "GET", timeoutMs = DEFAULT_TIMEOUT_MS): Promise<RawResponse> {
    return await this.#within(timeoutMs, async () => {
      const head = await this.#head();
      if (method === "HEAD" || head.status === 204 || head.status === 304 || head.status < 200) {
        return { ...head, body: Buffer.alloc(0), ending: "complete" };
      }
      return { ...head, ...(await this.#body(head)) };
    });
  }

  /** Reads a response head alone; what follows is for `nextBytes`. */
  async head(timeoutMs = DEFAULT_TIMEOUT_MS): Promise<RawHead> {
    return await this.#within(timeoutMs, async () => await this.#head());
  }

  /** How the peer ended the connection; rejects when it does not in time. */
  async ending(timeoutMs = DEFAULT_TIMEOUT_MS): Promise<"end" | "reset"> {
    return await this.#within(timeoutMs, async () => await this.#closed);
  }

  /** Whatever has arrived and was not read yet, at least one byte; empty when the peer is done. */
  async nextBytes(timeoutMs = DEFAULT_TIMEOUT_MS): Promise<Buffer> {
    return await this.#within(timeoutMs, async () => {
      while (this.#buffer.length === 0 && !this.#over) await this.#more();
      return this.#take(this.#buffer.length);
    });
  }

  async #head(): Promise<RawHead> {
    let end = this.#buffer.indexOf("\r\n\r\n");
    while (end === -1) {
      if (this.#over) throw new ConnectionClosed(this.#buffer);
      await this.#more();
      end = this.#buffer.indexOf("\r\n\r\n");
    }
    const [statusLine = "", ...lines] = this.#take(end + 4)
      .toString("latin1")
      .trimEnd()
      .split("\r\n");
    const headers = lines.map((line) => {
      const colon = line.indexOf(":");
      return [line.slice(0, colon), line.slice(colon + 1).trim()] as const;
    });
    return { statusLine, status: Number(statusLine.split(" ")[1]), headers };
  }

  async #body(head: RawHead): Promise<Pick<RawResponse, "body" | "ending">> {
    const length = headerValues(head, "content-length")[0];
    if (headerValues(head, "transfer-encoding").length > 0) return await this.#chunkedBody();
    if (length !== undefined) {
      const body = await this.#exactly(Number(length));
      return { body, ending: body.length === Number(length) ? "complete" : "cut" };
    }
    while (!this.#over) await this.#more();
    const body = this.#take(this.#buffer.length);
    return { body, ending: (await this.#closed) === "end" ? "complete" : "cut" };
  }

  async #chunkedBody(): Promise<Pick<RawResponse, "body" | "ending">> {
    const chunks: Buffer[] = [];
    for (;;) {
      const line = await this.#line();
      if (line === undefined) return { body: Buffer.concat(chunks), ending: "cut" };
      const size = Number.parseInt(line, 16);
      if (size === 0) {
        let trailer = await this.#line();
        while (trailer !== undefined && trailer !== "") trailer = await this.#line();
        return {
          body: Buffer.concat(chunks),
          ending: trailer === undefined ? "cut" : "complete",
        };
      }
      const chunk = await this.#exactly(size + 2);
      chunks.push(chunk.subarray(0, size));
      if (chunk.length < size + 2) return { body: Buffer.concat(chunks), ending: "cut" };
    }
  }

  async #line(): Promise<string | undefined> {
    let end = this.#buffer.indexOf("\r\n");
    while (end === -1) {
      if (this.#over) return undefined;
      await this.#more();
      end = this.#buffer.indexOf("\r\n");
    }
    return this.#take(end + 2)
      .subarray(0, end)
      .toString("latin1");
  }

  /** This many bytes, or fewer when the connection ends first. */
  async #exactly(length: number): Promise<Buffer> {
    while (this.#buffer.length < length && !this.#over) await this.#more();
    return this.#take(Math.min(length, this.#buffer.length));
  }

  #take(length: number): Buffer {
    const taken = this.#buffer.subarray(0, length);
    this.#buffer = this.#buffer.subarray(length);
    return taken;
  }

  async #more(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
  }

  async #within<Result>(timeoutMs: number, work: () => Promise<Result>): Promise<Result> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_resolve, reject) => {
      timer = setTimeout(() => {
        reject(
          new Error(`no answer within ${timeoutMs} ms; ${this.#buffer.length} bytes are there`),
        );
      }, timeoutMs);
    });
    try {
      return await Promise.race([work(), late]);
    } finally {
      clearTimeout(timer);
    }
  }
}

/** Sends these bytes on a fresh connection and reads one response. */
export async function exchange(
  port: number,
  bytes: string | Uint8Array,
  method = "GET",
): Promise<RawResponse> {
  const connection = await RawConnection.connect(port);
  try {
    connection.send(bytes);
    return await connection.response(method);
  } finally {
    connection.socket.destroy();
  }
}

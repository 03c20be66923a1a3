/** What a page of an endpoint does without a browser: it keeps cookies, and opens WebSockets. */
import { Agent, buildConnector, WebSocket } from "undici";

import { type Address, type Answer, type RequestOptions, send } from "../http-client.ts";

/** The first request starts a container. */
const TIMEOUT_MS = 60_000;

export class PageClient {
  readonly cookies = new Map<string, string>();
  readonly #address: Address;

  constructor(address: Address) {
    this.#address = address;
  }

  get origin(): string {
    return `https://${this.#address.host}`;
  }

  async ask(path: string, options: RequestOptions = {}): Promise<Answer> {
    const headers = { origin: this.origin, cookie: this.#cookie, ...options.headers };
    const asked = { timeoutMs: TIMEOUT_MS, ...options, headers };
    const answer = await send(this.#address, path, asked);
    for (const line of answer.headers["set-cookie"] ?? []) {
      const [, name = "", value = ""] = /^([^=]*)=([^;]*)/.exec(line) ?? [];
      this.cookies.set(name, value);
    }
    return answer;
  }

  /** @throws where the handshake is refused */
  async open(
    path: string,
    protocols: readonly string[] = [],
    origin = this.origin,
  ): Promise<PageSocket> {
    const { port, host } = this.#address;
    const connect = buildConnector({});
    const dispatcher = new Agent({
      connect: (options, onConnect) =>
        connect({ ...options, hostname: "127.0.0.1", port: String(port) }, onConnect),
    });
    const headers = { origin, cookie: this.#cookie };
    const asked = { protocols: [...protocols], headers, dispatcher };
    const socket = new WebSocket(`ws://${host}${path}`, asked);
    socket.binaryType = "arraybuffer";
    const opened = new PageSocket(socket);
    await opened.isOpen;
    return opened;
  }

  get #cookie(): string {
    return [...this.cookies].map(([name, value]) => `${name}=${value}`).join("; ");
  }
}

/** A WebSocket with all that it was sent. */
export class PageSocket {
  readonly messages: (string | Buffer)[] = [];
  readonly isOpen: Promise<void>;
  readonly #socket: WebSocket;

  constructor(socket: WebSocket) {
    this.#socket = socket;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.isOpen = promise;
    socket.addEventListener("open", () => resolve());
    socket.addEventListener("error", () => reject(new Error("the handshake was refused")));
    socket.addEventListener("message", ({ data }: { data: string | ArrayBuffer }) => {
      this.messages.push(typeof data === "string" ? data : Buffer.from(data));
    });
  }

  send(data: Uint8Array<ArrayBuffer>): void {
    this.#socket.send(data);
  }

  close(): void {
    this.#socket.close();
  }
}

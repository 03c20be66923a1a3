/**
 * A proxy before a Gradio server, without Postern, that lets what one connection brings come late. So any two
 * connections may do by themselves; here they always do.
 */
import {
  createServer,
  request,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from "node:http";
import type { AddressInfo } from "node:net";
import { buffer } from "node:stream/consumers";

/** What comes late, where a client has its stream open. */
export type Late =
  /** The response that names a new job: behind all events of the job. */
  | "name"
  /** The event that closes the stream: behind the response that names the next job. */
  | "close";

const CLOSE = 'data: {"msg":"close_stream"';

/** Until a client has taken in what came before. */
const LATE_BY_MS = 300;

export class LateProxy {
  readonly #server: Server;
  readonly #port: number;
  readonly #late: Late;
  /** What the open stream has brought. */
  #events = "";
  #isOpen = false;
  /** Asked again with each part of the stream. */
  readonly #waiting = new Set<() => void>();
  /** Lets the event go on that closes the stream. */
  #close: (() => void) | undefined;

  private constructor(port: number, late: Late) {
    this.#port = port;
    this.#late = late;
    this.#server = createServer((incoming, outgoing) => {
      const { method, url, headers } = incoming;
      const options = { port: this.#port, method, path: url, headers };
      const onward = request(options, (response) => {
        outgoing.writeHead(response.statusCode ?? 0, response.rawHeaders);
        if (url?.includes("/queue/data") === true) this.#stream(response, outgoing);
        else if (url?.includes("/queue/join") === true) void this.#join(response, outgoing);
        else response.pipe(outgoing);
      });
      onward.on("error", () => outgoing.destroy());
      outgoing.on("close", () => onward.destroy());
      incoming.pipe(onward);
    });
  }

  /** @param port of the server */
  static async start(port: number, late: Late): Promise<LateProxy> {
    const proxy = new LateProxy(port, late);
    await new Promise<void>((resolve) => {
      proxy.#server.listen(0, "127.0.0.1", resolve);
    });
    return proxy;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  stop(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }

  #stream(response: IncomingMessage, outgoing: ServerResponse): void {
    this.#isOpen = true;
    this.#events = "";
    response.on("data", (chunk: Buffer) => {
      this.#events += chunk.toString();
      const closeAt = this.#late === "close" ? chunk.indexOf(CLOSE) : -1;
      if (closeAt >= 0) this.#close = () => outgoing.end(chunk.subarray(closeAt));
      outgoing.write(closeAt < 0 ? chunk : chunk.subarray(0, closeAt));
      for (const ask of this.#waiting) ask();
    });
    response.on("close", () => {
      this.#isOpen = false;
      if (this.#close === undefined) outgoing.end();
    });
  }

  async #join(response: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const isOpen = this.#isOpen;
    const body = await buffer(response);
    if (this.#late === "name" && isOpen) await this.#untilEnded(body);
    outgoing.end(body);
    const close = this.#close;
    this.#close = undefined;
    if (close !== undefined) setTimeout(close, LATE_BY_MS);
  }

  /** Until all events of the job that this response names are with the client. */
  async #untilEnded(body: Buffer): Promise<void> {
    const { event_id: id } = JSON.parse(body.toString()) as { event_id: string };
    await new Promise<void>((resolve) => {
      const ask = (): void => {
        const events = this.#events.split("\n\n");
        const isEnded = events.some((one) => one.includes(id) && one.includes("process_completed"));
        if (isEnded && this.#waiting.delete(ask)) setTimeout(resolve, LATE_BY_MS);
      };
      this.#waiting.add(ask);
      ask();
    });
  }
}

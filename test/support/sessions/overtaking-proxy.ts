/**
 * A proxy before a Gradio server, without Postern: where a client has its stream open, the response that names a new
 * job comes behind the job's events. So any two connections may do by themselves; here they always do.
 */
import { createServer, request, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { buffer } from "node:stream/consumers";

export class OvertakingProxy {
  readonly #server: Server;
  readonly #port: number;
  /** What the open stream has brought. */
  #events = "";
  #isOpen = false;
  /** Asked again with each part of the stream. */
  readonly #waiting = new Set<() => void>();

  private constructor(port: number) {
    this.#port = port;
    this.#server = createServer((incoming, outgoing) => {
      const { method, url, headers } = incoming;
      const options = { port: this.#port, method, path: url, headers };
      const onward = request(options, (response) => {
        const pass = (body: Buffer): void => void outgoing.end(body);
        outgoing.writeHead(response.statusCode ?? 0, response.rawHeaders);
        if (url?.includes("/queue/data") === true) this.#stream(response);
        if (url?.endsWith("/queue/join") === true && this.#isOpen) {
          void buffer(response).then((body) => this.#afterEvents(body, () => pass(body)));
        } else response.pipe(outgoing);
      });
      onward.on("error", () => outgoing.destroy());
      outgoing.on("close", () => onward.destroy());
      incoming.pipe(onward);
    });
  }

  static async start(port: number): Promise<OvertakingProxy> {
    const proxy = new OvertakingProxy(port);
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

  #stream(response: IncomingMessage): void {
    this.#isOpen = true;
    this.#events = "";
    response.on("data", (chunk: Buffer) => {
      this.#events += chunk.toString();
      for (const ask of this.#waiting) ask();
    });
    response.on("close", () => (this.#isOpen = false));
  }

  #afterEvents(body: Buffer, pass: () => void): void {
    const { event_id: id } = JSON.parse(body.toString()) as { event_id: string };
    const ask = (): void => {
      const events = this.#events.split("\n\n");
      const isEnded = events.some((one) => one.includes(id) && one.includes("process_completed"));
      if (!isEnded || !this.#waiting.delete(ask)) return;
      // After the event itself has been written.
      setImmediate(pass);
    };
    this.#waiting.add(ask);
    ask();
  }
}

/**
 * A URL at 127.0.0.1 for one endpoint under localhost, for programs on this box whose resolver does not know the
 * endpoint's name. The proxy replaces the Host by the endpoint's, and passes all else on to the gateway, which judges
 * each request like any other.
 *
 * The proxy answers programs alone. It refuses browsers, and each Host but its own: a stranger's page whose name was
 * rebound to 127.0.0.1 could read the endpoint otherwise.
 */
import {
  createServer,
  type IncomingMessage,
  request as httpRequest,
  type Server,
  type ServerResponse,
} from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";
import { pipeline } from "node:stream";
import { eachHeader, filterHeaders, type HeaderList } from "../../base/headers.ts";
import { KIB } from "../../base/units.ts";
import { MAX_HEADER_BYTES } from "../../routing/wire/limits.ts";

/** Room for the request line besides the headers, so that the gateway judges their size. */
const MAX_HEAD_BYTES = MAX_HEADER_BYTES + 64 * KIB;

/** RFC 9110, 7.6.1; each side has its own connection. */
const HOP_BY_HOP: ReadonlySet<string> = new Set(["connection", "keep-alive", "proxy-connection"]);

export class LoopbackProxy {
  readonly #server: Server;
  readonly #endpoint: URL;

  private constructor(endpoint: URL) {
    this.#endpoint = endpoint;
    // The gateway's limits count: an upload may take longer than the five minutes that Node allows.
    this.#server = createServer({ maxHeaderSize: MAX_HEAD_BYTES, requestTimeout: 0 });
    this.#server.on("request", (request, response) => this.#onRequest(request, response));
    this.#server.on("upgrade", (request, client: Socket, first) => {
      this.#onUpgrade(request, client, first);
    });
  }

  /**
   * Listens on a free port.
   * @param endpoint the endpoint's own URL, `http://local--shop-web.localhost:8787`
   * @param wishedPort this one where it is free; 0 for any
   * @throws the system's error
   */
  static async open(endpoint: URL, wishedPort = 0): Promise<LoopbackProxy> {
    const proxy = new LoopbackProxy(endpoint);
    try {
      await proxy.#listen(wishedPort);
    } catch (error) {
      if (wishedPort === 0) throw error;
      await proxy.#listen(0);
    }
    return proxy;
  }

  get port(): number | undefined {
    return (this.#server.address() as AddressInfo | null)?.port;
  }

  async #listen(port: number): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#server.once("error", reject);
    this.#server.listen(port, "127.0.0.1", resolve);
    await promise;
    this.#server.off("error", reject);
  }

  get url(): string {
    return `http://${this.#authority}`;
  }

  /** Resolves when its port is free. */
  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => void this.#server.close(() => resolve()));
    this.#server.closeAllConnections();
    await closed;
  }

  get #authority(): string {
    return `127.0.0.1:${this.port}`;
  }

  /** Where the endpoint's name leads: each name under localhost means this machine (RFC 6761, 6.3). */
  get #gateway(): { host: string; port: number } {
    return { host: "localhost", port: Number(this.#endpoint.port || 80) };
  }

  #onRequest(request: IncomingMessage, response: ServerResponse): void {
    const refusal = this.#refusalOf(request);
    if (refusal !== undefined) {
      const { status, text } = refusal;
      response.writeHead(status, { "content-type": "text/plain", connection: "close" }).end(text);
      return;
    }
    const sent = httpRequest({
      ...this.#gateway,
      agent: false,
      method: request.method,
      path: request.url,
      headers: withoutHopByHop(this.#headersOf(request.rawHeaders)),
      maxHeaderSize: MAX_HEAD_BYTES,
    });
    sent.once("response", (answer) => passOn(answer, response));
    sent.once("error", () => {
      // A response that has begun goes to its end, however the rest of the upload fares.
      if (!response.headersSent) response.destroy();
    });
    response.once("close", () => {
      if (!response.writableFinished) sent.destroy();
    });
    request.pipe(sent);
  }

  /** From the head on, both connections are one. */
  #onUpgrade(request: IncomingMessage, client: Socket, first: Buffer): void {
    const refusal = this.#refusalOf(request);
    if (refusal !== undefined) {
      const { status, text } = refusal;
      client.end(`HTTP/1.1 ${status} \r\nconnection: close\r\n\r\n${text}`);
      return;
    }
    const { method, url, httpVersion, rawHeaders } = request;
    const gateway = connect(this.#gateway);
    gateway.write(`${method} ${url} HTTP/${httpVersion}\r\n`, "latin1");
    eachHeader(this.#headersOf(rawHeaders), (name, value) => {
      gateway.write(`${name}: ${value}\r\n`, "latin1");
    });
    gateway.write("\r\n");
    gateway.write(first);
    pipeline(client, gateway, () => undefined);
    pipeline(gateway, client, () => undefined);
  }

  #refusalOf({ rawHeaders, headers }: IncomingMessage): LoopbackRefusal | undefined {
    const hosts = filterHeaders(rawHeaders, (name) => name.toLowerCase() === "host");
    if (hosts.length !== 2 || hosts[1] !== this.#authority) {
      return { status: 421, text: `postern: the Host of this address is ${this.#authority}\n` };
    }
    if (headers["sec-fetch-site"] === undefined) return undefined;
    const text = `postern: this address is for programs; browsers use ${this.#endpoint.origin}\n`;
    return { status: 403, text };
  }

  /** A request's headers, with the endpoint's Host. */
  #headersOf(rawHeaders: HeaderList): string[] {
    const headers: string[] = [];
    eachHeader(rawHeaders, (name, value) => {
      headers.push(name, name.toLowerCase() === "host" ? this.#endpoint.host : value);
    });
    return headers;
  }
}

interface LoopbackRefusal {
  readonly status: 403 | 421;
  readonly text: string;
}

function passOn(answer: IncomingMessage, response: ServerResponse): void {
  const { statusCode = 502, statusMessage = "", rawHeaders } = answer;
  response.sendDate = false;
  response.writeHead(statusCode, statusMessage, withoutHopByHop(rawHeaders));
  pipeline(answer, response, () => undefined);
}

function withoutHopByHop(headers: HeaderList): string[] {
  return filterHeaders(headers, (name) => !HOP_BY_HOP.has(name.toLowerCase()));
}

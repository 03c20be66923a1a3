/**
 * Where the gateway is, and how this box proves itself there. Every connection that the agent makes to it starts
 * here: links, dial-backs and requests.
 */
import { randomBytes } from "node:crypto";
import type { Socket } from "node:net";
import { type Dispatcher, request } from "undici";
import { type BoxEnrolment, mintBoxCredential } from "../../auth/box-credential.ts";
import { getHeader } from "../../base/headers.ts";
import { messageOf } from "../../base/thrown.ts";
import { VERDICT_HEADER, type VerdictKind, verdictKind } from "../../routing/wire/verdicts.ts";
import { handshake } from "../websocket/handshake.ts";
import type { SocketReads } from "../websocket/socket-reads.ts";

/** The gateway must answer a handshake within this time. */
const HANDSHAKE_TIMEOUT_MS = 10_000;

const MAX_REFUSAL_CHARACTERS = 4_096;

export interface GatewayOptions {
  /** The gateway's base URL: `https://gateway.example`. */
  url: string;
  /**
   * Where to connect instead of the URL's own host, past the front of a gateway on this machine:
   * `127.0.0.1:41234`. Asked at each dial, since that gateway's next start may have another port there.
   */
  connectTo?: () => string | undefined;
  enrolment: BoxEnrolment;
}

export interface AddressRequest {
  readonly method?: "GET" | "POST";
  /** Sent as JSON. */
  readonly body?: unknown;
  readonly signal?: AbortSignal;
}

export interface Dial {
  readonly headers?: readonly string[];
  readonly signal?: AbortSignal;
  readonly reads?: SocketReads;
}

export type Dialled =
  | { readonly kind: "open"; readonly socket: Socket; readonly head: Buffer }
  /** `passing` also where no gateway was reached. */
  | { readonly kind: "refused"; readonly line: string; readonly verdict: VerdictKind };

export class GatewayAddress {
  /** Tells this agent from every other one of the box, earlier or by mistake at the same time. */
  readonly incarnation = randomBytes(16).toString("hex");
  readonly #options: GatewayOptions;
  #requests = 0;

  constructor(options: GatewayOptions) {
    this.#options = options;
  }

  /** Whether frames need a random mask: others than the gateway may read the bytes on the way. */
  get needsMask(): boolean {
    const { protocol, hostname } = new URL(this.#options.url);
    return protocol === "http:" && !isLoopback(this.#connectTo() ?? hostname);
  }

  /** The `Authorization` of one request: good for a minute. */
  async authorization(): Promise<string> {
    return `Bearer ${await mintBoxCredential(this.#options.enrolment, Date.now() / 1_000)}`;
  }

  /**
   * Sends one HTTP request to the gateway's API for agents. It has a number: one that is on its way for longer than a
   * later one is not believed.
   * @throws Error that undici gives when the gateway can't be reached, or the signal aborts
   */
  async request(
    path: string,
    { method = "GET", body, signal }: AddressRequest = {},
  ): Promise<Dispatcher.ResponseData> {
    const { url } = this.#options;
    const connectTo = this.#connectTo();
    this.#requests += 1;
    const number = String(this.#requests);
    return await request(`${connectTo === undefined ? url : `http://${connectTo}`}${path}`, {
      method,
      headers: {
        host: new URL(url).host,
        authorization: await this.authorization(),
        "postern-incarnation": this.incarnation,
        "postern-request-number": number,
        ...(body === undefined ? {} : { "content-type": "application/json" }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      ...(signal === undefined ? {} : { signal }),
    });
  }

  /** Opens a WebSocket to the gateway's API for agents. Never rejects. */
  async dial(path: string, { headers = [], signal, reads }: Dial = {}): Promise<Dialled> {
    const { url } = this.#options;
    const { protocol, host } = new URL(url);
    const connectTo = this.#connectTo();
    const scheme = connectTo === undefined ? protocol : "http:";
    try {
      const answer = await handshake({
        server: new URL(`${scheme}//${connectTo ?? host}`),
        target: path,
        headers: ["host", host, "authorization", await this.authorization(), ...headers],
        nonce: randomBytes(16),
        timeoutMs: HANDSHAKE_TIMEOUT_MS,
        ...(signal === undefined ? {} : { signal }),
        ...(reads === undefined ? {} : { reads }),
      });
      if (answer.kind === "open") return answer;
      const text = await firstLine(answer.body);
      const verdict = verdictKind(getHeader(lowerCaseNames(answer.rawHeaders), VERDICT_HEADER));
      const line = `the gateway at ${url} refuses this box: ${text || `status ${answer.status}`}`;
      return { kind: "refused", line, verdict };
    } catch (error) {
      const reason = messageOf(error);
      const line = `cannot reach the gateway at ${url}: ${reason}`;
      return { kind: "refused", line, verdict: "passing" };
    }
  }

  #connectTo(): string | undefined {
    return this.#options.connectTo?.();
  }
}

async function firstLine(body: AsyncIterable<Buffer>): Promise<string> {
  let text = "";
  for await (const chunk of body) {
    text += chunk.toString("utf8");
    if (text.includes("\n") || text.length > MAX_REFUSAL_CHARACTERS) break;
  }
  const [line = ""] = text.split("\n");
  return line.slice(0, MAX_REFUSAL_CHARACTERS).replace(/^postern: /, "");
}

function lowerCaseNames(rawHeaders: readonly string[]): string[] {
  return rawHeaders.map((text, index) => (index % 2 === 0 ? text.toLowerCase() : text));
}

function isLoopback(host: string): boolean {
  return /^(localhost|127(\.\d+){3}|\[::1\])(:\d+)?$/.test(host);
}

/**
 * Where the gateway is and how this box proves itself there: every connection that the agent makes to
 * it (links, dial-backs, requests) starts here.
 */
import { randomBytes } from "node:crypto";
import type { Socket } from "node:net";
import { type Dispatcher, request } from "undici";
import { type BoxEnrolment, mintBoxCredential } from "../../auth/box-credential.ts";
import { handshake } from "../websocket/handshake.ts";

/** The gateway must answer a handshake within this time. */
const HANDSHAKE_TIMEOUT_MS = 10_000;

const REFUSAL_BYTES = 4096;

export interface GatewayOptions {
  /** The gateway's base URL: `https://gateway.example`. */
  url: string;
  /** Where to connect instead of the URL's own host, on the same machine past the front: `127.0.0.1:41234`. */
  connectTo?: string;
  enrolment: BoxEnrolment;
}

export interface AgentRequest {
  readonly method?: "GET" | "POST";
  /** Sent as JSON. */
  readonly body?: unknown;
  readonly signal?: AbortSignal;
}

export type Dialled =
  | { kind: "open"; socket: Socket; head: Buffer }
  /** `held`: another agent has this name; it may be one that died and was not missed yet. */
  | { kind: "refused"; line: string; again: "yes" | "held" | "no" };

export class GatewayAddress {
  /** Tells this agent from every other one of the box, earlier or by mistake at the same time. */
  readonly incarnation = randomBytes(16).toString("hex");
  readonly #options: GatewayOptions;
  /** Frames need a random mask: others than the gateway may read the bytes on the way. */
  readonly needsMask: boolean;

  constructor(options: GatewayOptions) {
    this.#options = options;
    const { protocol, hostname } = new URL(options.url);
    this.needsMask = protocol === "http:" && !isLoopback(options.connectTo ?? hostname);
  }

  /** The `Authorization` of one request: good for a minute. */
  async authorization(): Promise<string> {
    return `Bearer ${await mintBoxCredential(this.#options.enrolment, Date.now() / 1_000)}`;
  }

  /**
   * One HTTP request to one of the gateway's doors for boxes.
   * @throws Error that undici gives when the gateway can't be reached, or the signal aborts
   */
  async request(
    path: string,
    { method = "GET", body, signal }: AgentRequest = {},
  ): Promise<Dispatcher.ResponseData> {
    const { url, connectTo } = this.#options;
    return await request(`${connectTo === undefined ? url : `http://${connectTo}`}${path}`, {
      method,
      headers: {
        host: new URL(url).host,
        authorization: await this.authorization(),
        "postern-incarnation": this.incarnation,
        ...(body === undefined ? {} : { "content-type": "application/json" }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      ...(signal === undefined ? {} : { signal }),
    });
  }

  /** Opens a WebSocket to one of the gateway's doors for boxes. Never rejects. */
  async dial(
    path: string,
    headers: readonly string[] = [],
    signal?: AbortSignal,
  ): Promise<Dialled> {
    const { url, connectTo } = this.#options;
    const { protocol, host } = new URL(url);
    const scheme = connectTo === undefined ? protocol : "http:";
    try {
      const answer = await handshake({
        server: new URL(`${scheme}//${connectTo ?? host}`),
        target: path,
        headers: ["host", host, "authorization", await this.authorization(), ...headers],
        nonce: randomBytes(16),
        timeoutMs: HANDSHAKE_TIMEOUT_MS,
        ...(signal === undefined ? {} : { signal }),
      });
      if (answer.kind === "open") return answer;
      const text = await firstLine(answer.body);
      const line = `the gateway at ${url} refuses this box: ${text || `status ${answer.status}`}`;
      // What the operator must mend is not tried again; what passes by itself is.
      const final = [400, 401, 403, 404, 421, 426].includes(answer.status);
      return {
        kind: "refused",
        line,
        again: final ? "no" : answer.status === 409 ? "held" : "yes",
      };
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      return {
        kind: "refused",
        line: `cannot reach the gateway at ${url}: ${reason}`,
        again: "yes",
      };
    }
  }
}

async function firstLine(body: AsyncIterable<Buffer>): Promise<string> {
  let text = "";
  for await (const chunk of body) {
    text += chunk.toString("utf8");
    if (text.includes("\n") || text.length > REFUSAL_BYTES) break;
  }
  return (text.split("\n")[0] ?? "").slice(0, REFUSAL_BYTES).replace(/^postern: /, "");
}

function isLoopback(host: string): boolean {
  return /^(localhost|127(\.\d+){3}|\[::1\])(:\d+)?$/.test(host);
}

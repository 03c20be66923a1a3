/**
 * The agent: the public door of this room. It serves one app's endpoints on this box through a gateway:
 * dials the links, starts the containers when the gateway has told their URLs, and runs the calls.
 */
import { randomBytes } from "node:crypto";
import type { Failure, Welcome } from "../routing/wire/messages.ts";
import type { Acceptor, Stream, StreamEvents } from "../routing/wire/multiplexer.ts";
import { parseAttach, parseRequestHead } from "../routing/wire/messages.ts";
import { COALESCE_MS } from "../routing/wire/limits.ts";
import { Call, type CallContext } from "./calls/call.ts";
import { RingBudget } from "./calls/replay-ring.ts";
import { RequestBody } from "./calls/request-body.ts";
import type { AppConfig } from "./config/app-config.ts";
import { Endpoint } from "./endpoint.ts";
import { GatewayAddress } from "./link/gateway-address.ts";
import { Link } from "./link/link.ts";

const DEFAULT_WORKSPACE = "local";
const DEFAULT_ENVIRONMENT = "main";

/** Seven days. */
const DEFAULT_RESULT_TTL_S = 604_800;

export interface AgentOptions {
  /** The gateway's base URL. */
  gatewayUrl: string;
  /** `host:port` to connect to instead, where agent and gateway share a machine: past the front. */
  connectTo?: string;
  boxName: string;
  boxSecret: string;
  config: AppConfig;
  /** An ephemeral app: labels end in this suffix. */
  devSuffix?: string;
  /** Links to keep to the gateway. */
  links?: number;
  /** One line for the operator: a container's output with its endpoint's name in front, or a notice. */
  log: (line: string) => void;
}

export interface RunningAgent {
  /** In the configuration's order. */
  urls: { function: string; url: string }[];
  /** Takes no new calls, lets those that run finish within their grace period, then closes. */
  drain(): Promise<void>;
  /** Ends calls and containers now. */
  close(): Promise<void>;
  /** Resolves with the reason when the gateway refuses this agent for good. */
  refused: Promise<string>;
}

/** The gateway refuses this box or one of its names; the message says what to do. */
export class AgentRefused extends Error {
  override readonly name = "AgentRefused";
}

/**
 * Starts the agent; resolves when the gateway has accepted every endpoint. Containers start then.
 * @throws {AgentRefused} when the gateway refuses the box or a name
 */
export async function startAgent(options: AgentOptions): Promise<RunningAgent> {
  const agent = new Agent(options);
  return await agent.start();
}

class Agent {
  readonly #options: AgentOptions;
  readonly #incarnation = randomBytes(16).toString("hex");
  readonly #endpoints = new Map<string, Endpoint>();
  readonly #calls = new Map<string, Call>();
  readonly #links: Link[] = [];
  readonly #gateway: GatewayAddress;
  readonly #context: CallContext;
  #welcomedAt: number | undefined;
  #draining = false;
  #idle: (() => void) | undefined;

  constructor(options: AgentOptions) {
    this.#options = options;
    this.#gateway = new GatewayAddress({
      url: options.gatewayUrl,
      box: options.boxName,
      secret: options.boxSecret,
      ...(options.connectTo === undefined ? {} : { connectTo: options.connectTo }),
    });
    this.#context = {
      now: () => performance.now(),
      soon: setImmediate,
      later: coalescer(),
      rings: new RingBudget(),
      forget: (call) => this.#forget(call),
    };
  }

  async start(): Promise<RunningAgent> {
    const { config, devSuffix, log, links: count = 1 } = this.#options;
    const refused = Promise.withResolvers<string>();
    const welcomed = Promise.withResolvers<Welcome>();
    const identity = {
      workspace: config.workspace ?? DEFAULT_WORKSPACE,
      environment: config.environment ?? DEFAULT_ENVIRONMENT,
      app: config.app,
    };
    const announcements = config.endpoints.map((endpoint) => ({
      ...identity,
      function: endpoint.function,
      ...(endpoint.label === undefined ? {} : { label: endpoint.label }),
      ...(devSuffix === undefined ? {} : { devSuffix }),
      endpoint: `${identity.environment}/${identity.app}/${endpoint.function}`,
      settings: {
        requiresProxyAuth: endpoint.requiresProxyAuth,
        timeout: endpoint.timeout,
        resultTtl: DEFAULT_RESULT_TTL_S,
      },
    }));
    for (let number = 0; number < count; number += 1) {
      const link = new Link({
        gateway: this.#gateway,
        number,
        links: count,
        incarnation: this.#incarnation,
        ...(number === 0 ? { endpoints: announcements } : {}),
        acceptor: (carrier) => this.#acceptor(carrier),
        onWelcome: (welcome) => {
          this.#welcomedAt ??= performance.now();
          if (number === 0) welcomed.resolve(welcome);
        },
        log,
        onRefused: refused.resolve,
      });
      this.#links.push(link);
      link.start();
    }
    const first = await Promise.race([welcomed.promise, refused.promise]);
    if (typeof first === "string") return await this.#giveUp(first);
    const urls: { function: string; url: string }[] = [];
    for (const [index, endpoint] of config.endpoints.entries()) {
      const answer = first.endpoints[index];
      if (answer === undefined || "refused" in answer) {
        const detail = answer === undefined ? "the gateway did not answer for it" : answer.detail;
        return await this.#giveUp(`${endpoint.function}: ${detail}`);
      }
      urls.push({ function: endpoint.function, url: answer.url });
    }
    for (const [index, settings] of config.endpoints.entries()) {
      const { endpoint } = announcements[index] as { endpoint: string };
      this.#endpoints.set(
        endpoint,
        new Endpoint({
          settings,
          directory: config.directory,
          url: (urls[index] as { url: string }).url,
          identity: {
            POSTERN_URLS: JSON.stringify(Object.fromEntries(urls.map((u) => [u.function, u.url]))),
            POSTERN_APP: config.app,
            POSTERN_ENVIRONMENT: identity.environment,
            POSTERN_BOX: this.#options.boxName,
          },
          gateway: this.#gateway,
          log,
        }),
      );
    }
    return {
      urls,
      drain: () => this.#drain(),
      close: () => this.#close(),
      refused: refused.promise,
    };
  }

  #acceptor(link: Link): Acceptor {
    return {
      onOpen: (stream, text, body, end) => this.#open(link, stream, text, body, end),
      onAttach: (stream, text) => this.#attach(link, stream, text),
    };
  }

  #open(link: Link, stream: Stream, text: string, body: Uint8Array, end: boolean): StreamEvents {
    const head = parseRequestHead(text);
    const endpoint = this.#endpoints.get(head.endpoint);
    const refusal = this.#refusal(head.call, endpoint);
    if (endpoint === undefined || refusal !== undefined) {
      return refuse(stream, refusal ?? { code: "no_origin", detail: "no such endpoint here" });
    }
    const call = new Call(this.#context, head, new RequestBody(stream, body, end));
    this.#calls.set(head.call, call);
    const events = call.attach(stream, link, 0);
    if (head.websocket === undefined) endpoint.run(call);
    else endpoint.openWebSocket(call, link.number);
    return events;
  }

  #refusal(id: string, endpoint: Endpoint | undefined): Failure | undefined {
    if (this.#draining) return { code: "no_origin", detail: "the box is stopping", retryAfter: 5 };
    if (endpoint === undefined) {
      // Containers start when the URLs are known: a moment after the first welcome.
      return { code: "no_origin", detail: "the box does not serve this endpoint", retryAfter: 1 };
    }
    // Opened twice: the first one runs; whoever wants its answer attaches.
    if (this.#calls.has(id)) return { code: "conflict", detail: "this call is already running" };
    return undefined;
  }

  #attach(link: Link, stream: Stream, text: string): StreamEvents {
    const request = parseAttach(text);
    const call = this.#calls.get(request.call);
    if (call === undefined) {
      const welcomedForMs = Math.floor(performance.now() - (this.#welcomedAt ?? Infinity));
      const detail = "the box does not know this call";
      return refuse(stream, { code: "call_lost", detail, welcomedForMs });
    }
    if (!call.canResume(request)) {
      const detail = "the answer cannot be resumed from so far back";
      return refuse(stream, { code: "origin_error", detail });
    }
    return call.attach(stream, link, request.offset);
  }

  #forget(call: Call): void {
    this.#calls.delete(call.head.call);
    if (this.#calls.size === 0) this.#idle?.();
  }

  async #drain(): Promise<void> {
    this.#draining = true;
    const grace = Math.max(...this.#options.config.endpoints.map((e) => e.exitGracePeriod));
    if (this.#calls.size > 0) {
      const idle = new Promise<void>((resolve) => {
        this.#idle = resolve;
      });
      let timer: ReturnType<typeof setTimeout> | undefined;
      const late = new Promise<void>((resolve) => {
        timer = setTimeout(resolve, grace * 1000);
      });
      await Promise.race([idle, late]);
      clearTimeout(timer);
    }
    await this.#close();
  }

  async #close(): Promise<void> {
    this.#draining = true;
    for (const call of this.#calls.values()) call.cancel("the agent stops");
    await Promise.all([...this.#endpoints.values()].map((endpoint) => endpoint.close()));
    for (const link of this.#links) link.stop();
  }

  async #giveUp(reason: string): Promise<never> {
    await this.#close();
    throw new AgentRefused(reason);
  }
}

function refuse(stream: Stream, failure: Failure): StreamEvents {
  stream.refuse(failure);
  return { onData: () => undefined, onOver: () => undefined };
}

/** Everybody who asks within `COALESCE_MS` is called back together: one timer, not one per stream. */
function coalescer(): (callback: () => void) => void {
  let waiting: Set<() => void> | undefined;
  return (callback) => {
    if (waiting === undefined) {
      const group = (waiting = new Set());
      setTimeout(() => {
        waiting = undefined;
        for (const call of group) call();
      }, COALESCE_MS);
    }
    waiting.add(callback);
  };
}

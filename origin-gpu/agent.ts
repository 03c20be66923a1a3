/**
 * The agent: the public door of this room. It serves one app's endpoints on this box through a gateway:
 * dials the links, starts the containers when the gateway has told their URLs, and runs the calls.
 */
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import type { BoxEnrolment } from "../auth/box-credential.ts";
import type { Welcome } from "../routing/wire/messages.ts";
import type { Acceptor, Stream, StreamEvents } from "../routing/wire/multiplexer.ts";
import { parseAttach, parseRequestHead } from "../routing/wire/messages.ts";
import { COALESCE_MS, GIB } from "../routing/wire/limits.ts";
import { BodySpools } from "./calls/body-spool.ts";
import { CallTable } from "./calls/call-table.ts";
import { KeptCalls } from "./calls/kept-calls.ts";
import { RingBudget } from "./calls/replay-ring.ts";
import type { AppConfig } from "./config/app-config.ts";
import { Endpoint } from "./endpoint.ts";
import { GatewayAddress } from "./link/gateway-address.ts";
import { Link } from "./link/link.ts";
import { answerQuestion, type Asked } from "./questions.ts";

const DEFAULT_ENVIRONMENT = "main";

/** Request bodies of all waiting calls together, in memory and on the disk. */
const WAITING_BODIES_BYTES = 10 * GIB;

export interface AgentOptions {
  /** The gateway's base URL. */
  gatewayUrl: string;
  /** `host:port` to connect to instead, where agent and gateway share a machine: past the front. */
  connectTo?: string;
  enrolment: BoxEnrolment;
  config: AppConfig;
  /** An ephemeral app: labels end in this suffix. */
  devSuffix?: string;
  /** Where kept calls are, for this agent alone. Without it no call is kept, and no client redirected. */
  stateDirectory?: string;
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
  const directory = options.stateDirectory;
  if (directory === undefined) return await new Agent(options, undefined, undefined).start();
  const kept = await KeptCalls.open(directory);
  const bodies = await BodySpools.open({
    directory: join(directory, "bodies"),
    limitBytes: WAITING_BODIES_BYTES,
  });
  return await new Agent(options, kept, bodies).start();
}

class Agent {
  readonly #options: AgentOptions;
  readonly #incarnation = randomBytes(16).toString("hex");
  readonly #endpoints = new Map<string, Endpoint>();
  readonly #calls: CallTable;
  readonly #kept: KeptCalls | undefined;
  readonly #links: Link[] = [];
  readonly #gateway: GatewayAddress;
  #draining = false;

  readonly #bodies: BodySpools | undefined;

  constructor(options: AgentOptions, kept: KeptCalls | undefined, bodies: BodySpools | undefined) {
    this.#options = options;
    this.#kept = kept;
    this.#bodies = bodies;
    this.#gateway = new GatewayAddress({
      url: options.gatewayUrl,
      enrolment: options.enrolment,
      ...(options.connectTo === undefined ? {} : { connectTo: options.connectTo }),
    });
    this.#calls = new CallTable({
      context: {
        now: () => performance.now(),
        soon: setImmediate,
        later: coalescer(),
        rings: new RingBudget(),
      },
      kept,
      log: options.log,
    });
  }

  async start(): Promise<RunningAgent> {
    const { config, devSuffix, enrolment, log, links: count = 1 } = this.#options;
    const refused = Promise.withResolvers<string>();
    const welcomed = Promise.withResolvers<Welcome>();
    const identity = {
      workspace: config.workspace ?? enrolment.workspace,
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
        resultTtl: endpoint.resultTtl,
        ...(endpoint.cors === false ? {} : { cors: endpoint.cors }),
      },
    }));
    const unwelcomed = new Set(Array.from({ length: count }, (_, number) => number));
    for (let number = 0; number < count; number += 1) {
      const link = new Link({
        gateway: this.#gateway,
        number,
        links: count,
        incarnation: this.#incarnation,
        ...(number === 0 ? { endpoints: announcements } : {}),
        acceptor: (carrier) => this.#acceptor(carrier),
        onWelcome: (welcome) => {
          unwelcomed.delete(number);
          if (unwelcomed.size === 0) this.#calls.welcomed();
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
          url: (urls[index] as { url: string }).url,
          identity: {
            POSTERN_URLS: JSON.stringify(Object.fromEntries(urls.map((u) => [u.function, u.url]))),
            POSTERN_APP: config.app,
            POSTERN_ENVIRONMENT: identity.environment,
            POSTERN_BOX: this.#options.enrolment.box,
          },
          gateway: this.#gateway,
          bodies: this.#bodies,
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

  get #asked(): Asked {
    const { config, enrolment } = this.#options;
    return {
      calls: this.#calls,
      box: enrolment.box,
      workspace: enrolment.workspace,
      isPrivate: (endpoint) =>
        config.endpoints.some(
          (settings) => settings.requiresProxyAuth && endpoint.endsWith(`/${settings.function}`),
        ),
    };
  }

  #acceptor(link: Link): Acceptor {
    return {
      onOpen: (stream, text, body, end) => this.#open(link, stream, text, body, end),
      onAttach: (stream, text) => this.#calls.attach(stream, link, parseAttach(text)),
    };
  }

  #open(link: Link, stream: Stream, text: string, body: Uint8Array, end: boolean): StreamEvents {
    const head = parseRequestHead(text);
    if (head.endpoint === "") return answerQuestion(stream, head, this.#asked);
    const endpoint = this.#endpoints.get(head.endpoint);
    if (this.#draining || endpoint === undefined) {
      const detail = this.#draining
        ? "the box is stopping"
        : // Containers start when the URLs are known: a moment after the first welcome.
          "the box does not serve this endpoint";
      stream.refuse({ code: "no_origin", detail, retryAfter: this.#draining ? 5 : 1 });
      return { onData: () => undefined, onOver: () => undefined };
    }
    return this.#calls.open(
      stream,
      link,
      head,
      { body, end },
      {
        ...endpoint.terms,
        run: (call) => endpoint.run(call, link.number),
      },
    );
  }

  async #drain(): Promise<void> {
    this.#draining = true;
    const grace = Math.max(...this.#options.config.endpoints.map((e) => e.exitGracePeriod));
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, grace * 1000);
    });
    await Promise.race([this.#calls.idle(), late]);
    clearTimeout(timer);
    await this.#close();
  }

  async #close(): Promise<void> {
    this.#draining = true;
    this.#calls.cancelAll("the agent stops");
    await Promise.all([...this.#endpoints.values()].map((endpoint) => endpoint.close()));
    for (const link of this.#links) link.stop();
    await this.#kept?.close();
  }

  async #giveUp(reason: string): Promise<never> {
    await this.#close();
    throw new AgentRefused(reason);
  }
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

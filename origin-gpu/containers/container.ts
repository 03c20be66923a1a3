/**
 * The interface of a container for the rest of the agent: one running server of one endpoint. It has an address once
 * it is ready, and its end is certain. process-container.ts runs one as a process. upstream-container.ts stands for a
 * server that runs already.
 */
import type { Observer } from "../../base/observer.ts";
import type { AppUser } from "../app-user.ts";
import type { OpenTunnel } from "./container-tunnels.ts";
import type { ExitInfo } from "./exit-info.ts";
import type { LeftContainer } from "./left-container.ts";
import type { LeavableContainer } from "./left-record.ts";
import type { ProcessRecords } from "./process-records.ts";
import type { SpareSupervisor } from "./spare-supervisor.ts";
import type { Card } from "../core/cards.ts";
import type { LeftSessions } from "../core/left-sessions.ts";
import type { EndpointConfig } from "../config/config.ts";
import type { ContainerLog } from "../logs/container-logs.ts";

/** Where requests go. */
export interface ContainerAddress {
  /** Scheme, host and port, as in `http://127.0.0.1:23456`. */
  readonly origin: string;
  /** A Unix socket to connect to instead of the origin's host and port. */
  readonly socketPath?: string;
  /** Where calls with pickles go instead, beside a web server. */
  readonly callsOrigin?: string;
}

/**
 * `starting` → `ready` → `stopping` → `stopped`; `stopping` from `starting` too. `failed` is the end of a
 * container that never became ready or whose process ended by itself.
 */
export type ProcessState = "starting" | "ready" | "stopping" | "stopped" | "failed";

/** A container did not become ready. The message is for the operator and for no client. */
export class StartFailure extends Error {
  override readonly name = "StartFailure";
  readonly code: "starting_failed" | "startup_timeout";
  /** Another start would fail too, until somebody changes the app or the box: there is no such program. */
  readonly permanent: boolean;
  /** The last lines that the process printed. */
  readonly lastLines: readonly string[];

  constructor(
    code: StartFailure["code"],
    message: string,
    lastLines: readonly string[] = [],
    { permanent = false }: { readonly permanent?: boolean } = {},
  ) {
    super(message);
    this.code = code;
    this.permanent = permanent;
    this.lastLines = lastLines;
  }
}

/** The interpreter of an endpoint's app, held as long as it runs. */
export interface UsedPython {
  /** A name for PATH, or a path. */
  readonly python: string;
  release(): void;
}

/** Finds that interpreter; makes its environment where it has to. Rejects with a `StartFailure`. */
export type UsePython = (
  endpoint: EndpointConfig,
  log: (line: string) => void,
) => Promise<UsedPython>;

export interface ContainerOptions {
  readonly endpoint: EndpointConfig;
  /** ContainerVariables that the agent gives; neither `env` nor the agent's own environment overrides them. */
  readonly environment: Readonly<Record<string, string>>;
  readonly usePython: UsePython;
  /** Runs its process; without one the agent's own user does. */
  readonly user?: AppUser | undefined;
  /** Hears of the container's states and of its output. */
  readonly observer: Observer;
  /** Names the container's function in each line about it, with its app and version where there may be several. */
  readonly source: string;
  /** Begins the log of the container with this id. Without it no line is kept. */
  readonly beginLog?: ((container: string) => ContainerLog | undefined) | undefined;
  /** Where its processes are noted for the next agent. */
  readonly records?: ProcessRecords | undefined;
  /** Of the agent: with it a start takes less. */
  readonly spares?: SpareSupervisor | undefined;
  /** That it has for itself, or a share of. */
  readonly cards?: readonly Card[] | undefined;
  /** The next agent may take it over, where the machine has the means. */
  readonly leavable?: LeavableContainer | undefined;
  /** It runs already: the last agent left it. */
  readonly left?: LeftContainer | undefined;
  /** Gives one of its ports a public URL; absent where the agent opens none. */
  readonly openTunnel?: OpenTunnel | undefined;
  /** It may not become ready, for this reason: the log says so too. */
  readonly onDoubt?: ((reason: string) => void) | undefined;
  /** The process ended by itself after it had been ready. `exited` may come later: others of it may still run. */
  readonly onUnexpectedExit?: (exit: ExitInfo) => void;
}

export interface Container {
  readonly id: string;
  /** In milliseconds since 1970; of its process, whichever agent began it. */
  readonly startedAtMs: number;
  readonly state: ProcessState;
  /** Rejects with a `StartFailure`. */
  readonly ready: Promise<ContainerAddress>;
  /** Resolves when nothing of it runs any more; never rejects. */
  readonly exited: Promise<ExitInfo>;
  /** Resolves when something of it has survived SIGKILL. Until `exited` it may hold a port, a GPU and its memory. */
  readonly stuck: Promise<void>;
  /**
   * Resolves when the app works no longer on this call, which was given up: at once where nothing can tell.
   * Never rejects; the end of the container is the end of its calls.
   */
  gaveUp(call: string): Promise<void>;
  /** Asks it to end, waits for its grace period, then makes sure. Resolves when it is gone or stuck; may be repeated. */
  stop(reason?: string): Promise<void>;
  /**
   * Lets it run on when this agent ends, for the next one. Its events end then.
   * @param sessions that it has
   * @returns why that can't be, in words: it goes on as it was; undefined where it does
   */
  leave(sessions?: LeftSessions): Promise<string | undefined>;
}

/** Tells the operator something about a function's containers. */
export function noticesOf({
  observer,
  source,
}: Pick<ContainerOptions, "observer" | "source">): (text: string) => void {
  return (text) => observer.notice(`[${source}] ${text}`);
}

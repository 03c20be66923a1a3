/**
 * The meaning of a postern.toml that has been checked: defaults are filled in and paths are absolute. Durations
 * are seconds, as in the file. The rest of the agent sees these types and never the file's own keys.
 */
import type { EndpointSettings } from "../../routing/wire/messages.ts";

/** The server of an endpoint: one of the kinds that postern.toml names. */
export type EndpointKind =
  /** `module:attribute` of a Python ASGI app or of a function without arguments that returns one. */
  | { readonly type: "asgi"; readonly target: string }
  /** Any command that listens: on `port`, or on the one it is told by `$PORT` and the variable PORT. */
  | { readonly type: "web_server"; readonly command: readonly string[]; readonly port?: number }
  /** A server that somebody else runs: scheme, host and port, no path. */
  | { readonly type: "upstream"; readonly url: string };

export interface EndpointConfig {
  readonly function: string;
  /** Instead of the label that app and function make. */
  readonly label?: string;
  /**
   * The function whose containers serve it, where they are not its own. The settings here of containers and of the
   * queue before them are then that function's.
   */
  readonly containersOf?: string;
  /** Callers need a proxy auth token of the workspace. */
  readonly requiresProxyAuth: boolean;
  readonly kind: EndpointKind;
  /** Interpreter: a name for PATH, or a path, relative to `directory`. */
  readonly python: string;
  /** Lines of a requirements file: the process runs in an environment that `python` makes for them. */
  readonly requirements?: readonly string[];
  /** Absolute; the working directory of the process. */
  readonly directory: string;
  readonly env: Readonly<Record<string, string>>;
  /** Names of secrets whose variables are added below `env`; later ones win. */
  readonly secrets: readonly string[];
  /** Concurrent requests that one container gets at most. */
  readonly maxInputs: number;
  /** Requests that may wait; the next one is refused. */
  readonly maxPending: number;
  /** Requests that may wait without a client (`Prefer: respond-async`), counted apart from the others. */
  readonly maxPendingAsync: number;
  /** A request whose client left ends (`cancel`), goes on (`keep`), or goes on for so many seconds. */
  readonly onDisconnect: "cancel" | "keep" | number;
  /** Seconds that a kept answer can be read. */
  readonly resultTtl: number;
  /** Which pages of other origins may call; `true`: every one. */
  readonly cors: NonNullable<EndpointSettings["cors"]>;
  /** Asked for readiness; without one, accepting a connection is enough. */
  readonly healthPath?: string;
  /** Seconds from the start until it is ready. */
  readonly startupTimeout: number;
  /** Seconds until the app's response headers. */
  readonly timeout: number;
  /** Seconds that an answer's body or a WebSocket may last. */
  readonly maxDuration: number;
  /** Bytes of a WebSocket message, each way. */
  readonly websocketMaxMessage: number;
  /** Seconds between `stopSignal` and SIGKILL. */
  readonly exitGracePeriod: number;
  readonly stopSignal: NodeJS.Signals;
}

export interface AppConfig {
  /** Absent where the profile's is meant. */
  readonly workspace?: string;
  readonly environment?: string;
  readonly app: string;
  /** The file as it was named, for messages. */
  readonly file: string;
  /** The file's absolute directory. */
  readonly directory: string;
  /** Where it may be deployed: patterns of box names, * and ? stand for others. */
  readonly boxes?: readonly string[];
  /** Likewise; a broad name stands for the narrower ones. */
  readonly region?: readonly string[];
  readonly endpoints: readonly EndpointConfig[];
}

/**
 * The meaning of a postern.toml that has been checked: defaults are filled in and paths are absolute. Durations
 * are seconds, as in the file. The rest of the agent sees these types and never the file's own keys.
 */
import type { Parameters } from "../core/parameters.ts";
import type { EndpointSettings } from "../../routing/wire/messages.ts";

/** An endpoint that Postern's own Python server serves. `target` is `module:attribute`. */
export type PythonKind =
  /** A Python ASGI app, or a function without arguments that returns one. */
  | { readonly type: "asgi"; readonly target: string }
  /** A Python WSGI app, or a function without arguments that returns one. */
  | { readonly type: "wsgi"; readonly target: string }
  /** A function or class of a file that uses the package `postern`; of a web server its own port. */
  | { readonly type: "python_function"; readonly target: string; readonly port?: number }
  | CallableKind;

/** A Python function, a method or a class, with FastAPI around it. */
export interface CallableKind {
  readonly type: "callable";
  readonly target: string;
  /** Absent where the function's decorator may say it; GET otherwise. */
  readonly method?: string;
  /** It has a page that documents it. Absent likewise. */
  readonly docs?: boolean;
}

/** The server of an endpoint: one of the kinds that postern.toml names. */
export type EndpointKind =
  | PythonKind
  /** Any command that listens: on `port`, or on the one it is told by `$PORT` and the variable PORT. */
  | { readonly type: "web_server"; readonly command: readonly string[]; readonly port?: number }
  /** A file with an ASGI app in TypeScript or JavaScript, relative to `directory`. */
  | { readonly type: "module"; readonly file: string }
  /** A server that somebody else runs: scheme, host and port, no path. */
  | { readonly type: "upstream"; readonly url: string };

/** One way to satisfy `gpus`: so many cards of one kind, or of any where none is named. */
export interface GpuChoice {
  readonly kind?: string;
  readonly count: number;
}

/** A request that Postern itself makes to a container. */
export interface ContainerRequest {
  readonly method: "GET" | "POST" | "PUT";
  /** With its query. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
}

/** The requests that count as use of a container. The others are served too, and take a place of `maxInputs`. */
export interface KeepsAwake {
  readonly websockets: boolean;
  /** Paths whose requests do not count; a `*` at the end of one stands for the rest. */
  readonly exceptPaths: readonly string[];
}

/** How often, and after how many seconds, a call is run again whose container died before it answered. */
export interface RetryPolicy {
  readonly maxRetries: number;
  readonly initialDelay: number;
  readonly backoffCoefficient: number;
  readonly maxDelay: number;
}

/** Which requests a container is given together. */
export interface BatchPolicy {
  readonly maxBatchSize: number;
  /** Milliseconds after a batch's first request. */
  readonly waitMs: number;
}

export interface EndpointConfig {
  readonly function: string;
  /** Instead of the label that app and function make. */
  readonly label?: string;
  /** Domains of the workspace's own at which it is served too; absent: none. */
  readonly customDomains?: readonly string[];
  /**
   * The function whose containers serve it, where they are not its own. The settings here of containers and of the
   * queue before them are then that function's.
   */
  readonly containersOf?: string;
  /** Callers need a proxy auth token of the workspace. */
  readonly requiresProxyAuth: boolean;
  /** Who else may call; `requiresProxyAuth` is true with it. */
  readonly auth?: NonNullable<EndpointSettings["auth"]>;
  /** The paths that callers may ask for; absent: all of them. */
  readonly paths?: NonNullable<EndpointSettings["paths"]>;
  /** Callers need the app's own token, or a call token; then `requiresProxyAuth` is true as well. */
  readonly requiresAppToken: boolean;
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
  /** Each set of their values has containers of its own. */
  readonly parameters?: Parameters;
  /** At most `maxInputs` make one. */
  readonly batch?: BatchPolicy;
  /** Requests a container that the autoscaler aims at; at most `maxInputs`. */
  readonly targetInputs: number;
  readonly minContainers: number;
  readonly maxContainers: number;
  /** Containers beside the needed ones, while there are requests. */
  readonly bufferContainers: number;
  /** Seconds without a request until a container stops. */
  readonly scaledownWindow: number;
  readonly keepsAwake: KeepsAwake;
  /** Paths that are answered without a container while none is ready; a `*` at the end of one stands for the rest. */
  readonly probePaths: readonly string[];
  readonly rollout: "auto" | "overlap" | "replace";
  /** Cards of each container, in order of preference; empty: none. */
  readonly gpus: readonly GpuChoice[];
  /** Bytes of one card that each container needs; never beside `gpus`. */
  readonly gpuMemory?: number;
  /** Requests that let go of the GPU, and those that undo it; both are empty, or neither. */
  readonly sleep: readonly ContainerRequest[];
  readonly wake: readonly ContainerRequest[];
  /** Requests that may wait; the next one is refused. */
  readonly maxPending: number;
  /** Requests that may wait without a client (`Prefer: respond-async`), counted apart from the others. */
  readonly maxPendingAsync: number;
  /** A request whose client left ends (`cancel`), goes on (`keep`), or goes on for so many seconds. */
  readonly onDisconnect: "cancel" | "keep" | number;
  /** Seconds that a kept answer can be read. */
  readonly resultTtl: number;
  /** Seconds until a client is sent to a result URL; `false`: it never is. Absent: as the gateway says. */
  readonly requestTimeout?: NonNullable<EndpointSettings["requestTimeout"]>;
  /** A client that waits for a stream gets its 200 and comments meanwhile. */
  readonly lifeSigns: boolean;
  /** Errors of Postern's own are in the form of this API as well. */
  readonly api?: NonNullable<EndpointSettings["api"]>;
  /** How requests of a session find their container; absent: they have none. */
  readonly affinity?: NonNullable<EndpointSettings["affinity"]>;
  /** Requests a second, and seconds of burst: `50/5`. */
  readonly rateLimit?: string;
  /** Answers where no box takes a request. */
  readonly fallback?: NonNullable<EndpointSettings["fallback"]>;
  /** Which pages of other origins may call; `true`: every one. */
  readonly cors: NonNullable<EndpointSettings["cors"]>;
  /** Host as the app sees it: `local`, or a name. Absent: the public one. */
  readonly hostHeader?: string;
  /** Asked for readiness; without one, accepting a connection is enough. */
  readonly healthPath?: string;
  /** Seconds between two questions at `healthPath`. */
  readonly healthInterval: number;
  /** Requests after it listens and before it is ready. */
  readonly warmup: readonly ContainerRequest[];
  /** Seconds from the start until it is ready. */
  readonly startupTimeout: number;
  /** Seconds until the app's response headers. */
  readonly timeout: number;
  /** Seconds that an answer's body or a WebSocket may last. */
  readonly maxDuration: number;
  /** Bytes of a WebSocket message, each way. */
  readonly websocketMaxMessage: number;
  readonly retries: RetryPolicy;
  /** Seconds that a client may take nothing of its answer while others wait. */
  readonly stallTimeout: number;
  /** Ends what is no child of ours; empty: there is no such thing. */
  readonly stopCommand: readonly string[];
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

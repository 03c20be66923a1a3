/** Makes an `EndpointConfig` of an endpoint's keys: defaults filled in, paths absolute. The keys are checked by now. */
import { resolve } from "node:path";

import { MAX_WEBSOCKET_MESSAGE_BYTES } from "../../routing/wire/limits.ts";
import { SCALING_DEFAULTS } from "../../routing/wire/scaling.ts";
import { ownerOf } from "./apply-preset.ts";
import type { BatchPolicy, EndpointConfig, EndpointKind } from "./app-config.ts";
import type { EndpointTable } from "./keys.ts";
import { resolveParameters } from "./keys/parameters.ts";
import { maxInputsOf } from "./max-inputs.ts";
import { optional } from "./optional.ts";
import { resolveAuth } from "./resolve-auth.ts";
import {
  resolveGpus,
  resolveKeepsAwake,
  resolveMemory,
  resolveRequests,
  resolveRetries,
} from "./resolve-pool.ts";

const DEFAULT_TIMEOUT_S = 300;
const DEFAULT_MAX_DURATION_S = 86_400;
const DEFAULT_EXIT_GRACE_PERIOD_S = 30;
const DEFAULT_MAX_PENDING = 2000;
const DEFAULT_MAX_PENDING_ASYNC = 1_000_000;
const DEFAULT_RESULT_TTL_S = 604_800;
const DEFAULT_HEALTH_INTERVAL_S = 10;
const DEFAULT_STALL_TIMEOUT_S = 60;

/** @param directory the app's, absolute */
export function resolveEndpoints(
  tables: readonly EndpointTable[],
  directory: string,
): EndpointConfig[] {
  return tables.map((table) => resolveEndpoint(table, ownerOf(table, tables), directory));
}

/** @param owner says what belongs to the containers */
function resolveEndpoint(
  table: EndpointTable,
  owner: EndpointTable,
  appDirectory: string,
): EndpointConfig {
  return {
    function: table.function ?? "",
    ...optional("label", table.label),
    ...optional("customDomains", table.custom_domains),
    ...optional("containersOf", table.containers_of),
    // An older gateway knows the first one alone: there it is locked, too.
    requiresProxyAuth:
      table.requires_app_token === true ||
      table.requires_proxy_auth === true ||
      table.auth !== undefined,
    ...optional("auth", table.auth && resolveAuth(table.auth)),
    requiresAppToken: table.requires_app_token ?? false,
    ...optional("paths", table.paths && resolvePaths(table.paths)),
    onDisconnect: table.on_disconnect ?? "cancel",
    resultTtl: table.result_ttl ?? DEFAULT_RESULT_TTL_S,
    retries: resolveRetries(table.retries ?? 0),
    cors: resolveCors(table.cors ?? owner.callable !== undefined),
    ...optional("rateLimit", table.rate_limit),
    ...optional("fallback", table.fallback && resolveFallback(table.fallback)),
    timeout: table.timeout ?? DEFAULT_TIMEOUT_S,
    ...optional("requestTimeout", table.request_timeout),
    lifeSigns: table.life_signs ?? false,
    ...optional("api", table.api),
    maxDuration: table.max_duration ?? DEFAULT_MAX_DURATION_S,
    websocketMaxMessage: table.websocket_max_message ?? MAX_WEBSOCKET_MESSAGE_BYTES,
    ...resolvePool(owner, appDirectory),
  };
}

function resolvePaths({ allow, deny }: NonNullable<EndpointTable["paths"]>) {
  return { ...optional("allow", allow), ...optional("deny", deny) };
}

function resolveFallback({
  url,
  headers,
  secrets,
  models,
}: NonNullable<EndpointTable["fallback"]>) {
  return {
    url,
    ...optional("headers", headers),
    ...optional("secrets", secrets),
    ...optional("models", models),
  };
}

/** The settings that endpoints with shared containers have in common: those of the containers' owner. */
function resolvePool(table: EndpointTable, appDirectory: string) {
  return {
    kind: resolveKind(table),
    python: table.python ?? "python3",
    ...optional("requirements", table.requirements),
    directory: resolve(appDirectory, table.directory ?? "."),
    env: table.env ?? {},
    secrets: table.secrets ?? [],
    maxInputs: maxInputsOf(table),
    targetInputs: table.target_inputs ?? maxInputsOf(table),
    ...optional("parameters", table.parameters && resolveParameters(table.parameters)),
    ...optional("batch", table.batch && resolveBatch(table.batch)),
    minContainers: table.min_containers ?? SCALING_DEFAULTS.min_containers,
    maxContainers: table.max_containers ?? SCALING_DEFAULTS.max_containers,
    bufferContainers: table.buffer_containers ?? SCALING_DEFAULTS.buffer_containers,
    scaledownWindow: table.scaledown_window ?? SCALING_DEFAULTS.scaledown_window,
    probePaths: table.probe_paths ?? [],
    keepsAwake: resolveKeepsAwake(table.keeps_awake ?? true),
    rollout: table.rollout ?? "auto",
    gpus: resolveGpus(table.gpus ?? 0),
    ...optional("gpuMemory", resolveMemory(table.gpu_memory)),
    sleep: resolveRequests(table.sleep),
    wake: resolveRequests(table.wake),
    maxPending: table.max_pending ?? DEFAULT_MAX_PENDING,
    maxPendingAsync: table.max_pending_async ?? DEFAULT_MAX_PENDING_ASYNC,
    ...optional("healthPath", table.health_path),
    ...optional("hostHeader", resolveHostHeader(table.host_header)),
    healthInterval: table.health_interval ?? DEFAULT_HEALTH_INTERVAL_S,
    warmup: resolveRequests(table.warmup),
    ...optional("affinity", resolveAffinity(table)),
    stallTimeout: table.stall_timeout ?? DEFAULT_STALL_TIMEOUT_S,
    startupTimeout: table.startup_timeout ?? table.timeout ?? DEFAULT_TIMEOUT_S,
    exitGracePeriod: table.exit_grace_period ?? DEFAULT_EXIT_GRACE_PERIOD_S,
    stopCommand: table.stop_command ?? [],
    stopSignal: table.stop_signal ?? "SIGTERM",
  } as const;
}

function resolveBatch({
  max_batch_size,
  wait_ms,
}: NonNullable<EndpointTable["batch"]>): BatchPolicy {
  return { maxBatchSize: max_batch_size, waitMs: wait_ms };
}

function resolveKind(table: EndpointTable): EndpointKind {
  const { asgi, wsgi, callable, module: file, web_server: command, port, upstream } = table;
  if (asgi !== undefined) return { type: "asgi", target: asgi };
  if (wsgi !== undefined) return { type: "wsgi", target: wsgi };
  if (callable !== undefined) {
    const shown = { ...optional("method", table.method), ...optional("docs", table.docs) };
    return { type: "callable", target: callable, ...shown };
  }
  if (table.python_function !== undefined) {
    return { type: "python_function", target: table.python_function, ...optional("port", port) };
  }
  if (command !== undefined) return { type: "web_server", command, ...optional("port", port) };
  if (file !== undefined) return { type: "module", file };
  if (upstream !== undefined) return { type: "upstream", url: new URL(upstream).origin };
  throw new Error("a kind is marked as supported in keys.ts and not resolved here");
}

function resolveHostHeader(host: EndpointTable["host_header"]): string | undefined {
  return host === "public" ? undefined : host;
}

function resolveAffinity({
  affinity = "none",
  affinity_mode: mode = "soft",
}: EndpointTable): EndpointConfig["affinity"] {
  const rules = [affinity].flat();
  return rules[0] === "none" ? undefined : { rules, mode };
}

function resolveCors(cors: NonNullable<EndpointTable["cors"]>): EndpointConfig["cors"] {
  if (typeof cors === "boolean") return cors;
  const { origins, headers, credentials } = cors;
  return { origins, ...optional("headers", headers), ...optional("credentials", credentials) };
}

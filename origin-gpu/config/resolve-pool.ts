/** Makes the parsed forms of the keys of scaling, GPUs and requests to a container. The keys are checked by now. */
import type { ContainerRequest, GpuChoice, KeepsAwake, RetryPolicy } from "./app-config.ts";
import { GPU_CHOICE, GPU_MEMORY, MEMORY_UNITS } from "./keys/gpus.ts";
import { REQUEST_METHODS, type RequestTable } from "./keys/request-list.ts";
import type { EndpointTable } from "./keys.ts";
import { optional } from "./optional.ts";

/** A number alone waits as long before each run; a table's delays grow where it does not say. */
const FIXED = { initialDelay: 1, backoffCoefficient: 1, maxDelay: 60 };
const DEFAULT_INITIAL_DELAY_S = 1;
const DEFAULT_BACKOFF_COEFFICIENT = 2;
const DEFAULT_MAX_DELAY_S = 60;

export function resolveGpus(gpus: NonNullable<EndpointTable["gpus"]>): GpuChoice[] {
  if (typeof gpus === "number") return gpus === 0 ? [] : [{ count: gpus }];
  return (typeof gpus === "string" ? [gpus] : gpus).map((choice) => {
    const [, kind = "any", digits = "1"] = GPU_CHOICE.exec(choice) ?? [];
    const count = Number(digits);
    return kind === "any" ? { count } : { kind, count };
  });
}

/** In bytes, rounded up. */
export function resolveMemory(amount: string | undefined): number | undefined {
  if (amount === undefined) return undefined;
  const [, number, unit] = GPU_MEMORY.exec(amount) ?? [];
  return Math.ceil(Number(number) * MEMORY_UNITS[unit === "MiB" ? "MiB" : "GiB"]);
}

export function resolveRequests(tables: readonly RequestTable[] = []): ContainerRequest[] {
  return tables.map((table) => {
    const { get, post, put, body, headers = {} } = table;
    const [method, path = "/"] =
      get === undefined
        ? post === undefined
          ? [REQUEST_METHODS.put, put]
          : [REQUEST_METHODS.post, post]
        : [REQUEST_METHODS.get, get];
    if (body === undefined || typeof body === "string") {
      return { method, path, headers, ...optional("body", body) };
    }
    const typed = Object.keys(headers).some((name) => name.toLowerCase() === "content-type");
    const type = typed ? {} : { "content-type": "application/json" };
    return { method, path, headers: { ...type, ...headers }, body: JSON.stringify(body) };
  });
}

export function resolveKeepsAwake(
  keepsAwake: NonNullable<EndpointTable["keeps_awake"]>,
): KeepsAwake {
  if (typeof keepsAwake === "boolean") return { websockets: keepsAwake, exceptPaths: [] };
  const { paths = [], websockets = true } = keepsAwake;
  return { websockets, exceptPaths: paths };
}

export function resolveRetries(retries: NonNullable<EndpointTable["retries"]>): RetryPolicy {
  if (typeof retries === "number") return { maxRetries: retries, ...FIXED };
  return {
    maxRetries: retries.max_retries,
    initialDelay: retries.initial_delay ?? DEFAULT_INITIAL_DELAY_S,
    backoffCoefficient: retries.backoff_coefficient ?? DEFAULT_BACKOFF_COEFFICIENT,
    maxDelay: retries.max_delay ?? DEFAULT_MAX_DELAY_S,
  };
}

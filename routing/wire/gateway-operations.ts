/**
 * The operations that an agent asks of the gateway: one row each, used at both ends. The agent asks by an HTTP request
 * with the box's credential. To add an operation, add a row; the compiler names what is missing.
 */
import * as z from "zod";
import { MIB } from "../../base/units.ts";
import { ASSIGNMENTS, BOX_REPORT, CODE_HASH, SECRET_VALUES } from "./deployments.ts";
import { NOTHING, type OperationResult } from "./operation-result.ts";
import { FILE_FOLDER, FILE_NAME } from "./shared-files.ts";
import { POOL_LEASE, POOL_USES } from "./pool-leases.ts";
import { USAGE_BATCH } from "./usage.ts";

/** The gateway asks its own storage alone. */
const GATEWAY_TIMEOUT_MS = 20_000;

const NAME = z.string().min(1).max(64);

interface GatewayOperation {
  readonly method: "GET" | "POST";
  /** With its parameters in braces. */
  readonly path: string;
  readonly parameters: Readonly<Record<string, z.ZodType<string>>>;
  /** The request's JSON, and how many bytes it may have. */
  readonly request?: { readonly schema: z.ZodType; readonly maxBytes: number };
  readonly result: OperationResult;
  readonly timeoutMs: number;
}

/** Agent to gateway. A failure is a status of 400 and above, with one line that begins with `postern: `. */
export const GATEWAY_OPERATIONS = {
  /** Everything that the box is to run now. An app that is not listed stops. */
  assignments: {
    method: "GET",
    path: "/_postern/assignments",
    parameters: {},
    result: { kind: "json", schema: ASSIGNMENTS },
    timeoutMs: GATEWAY_TIMEOUT_MS,
  },
  /** Reports all that the box has: after each change, and after each welcome of its link 0. */
  report: {
    method: "POST",
    path: "/_postern/report",
    parameters: {},
    // Some hundred versions, each with the last lines of a container.
    request: { schema: BOX_REPORT, maxBytes: 4 * MIB },
    result: NOTHING,
    timeoutMs: GATEWAY_TIMEOUT_MS,
  },
  /** The box's shares of the pools that other boxes run too, for all that it says; 409 for a second agent, or a late request. */
  poolShares: {
    method: "POST",
    path: "/_postern/pools",
    parameters: {},
    request: { schema: POOL_USES, maxBytes: 4 * MIB },
    result: { kind: "json", schema: POOL_LEASE },
    timeoutMs: GATEWAY_TIMEOUT_MS,
  },
  /** Reports the use of the box by tokens since the batch before. */
  usage: {
    method: "POST",
    path: "/_postern/usage",
    parameters: {},
    request: { schema: USAGE_BATCH, maxBytes: MIB },
    result: NOTHING,
    timeoutMs: GATEWAY_TIMEOUT_MS,
  },
  /** The secrets of an app that the box announces: 403 where it announces none, 404 where one is missing. */
  secrets: {
    method: "POST",
    path: "/_postern/secrets",
    parameters: {},
    request: {
      schema: z.object({
        environment: z.string().max(64),
        names: z.array(z.string().max(64)).max(100),
      }),
      maxBytes: 64 * 1024,
    },
    result: { kind: "json", schema: SECRET_VALUES },
    timeoutMs: GATEWAY_TIMEOUT_MS,
  },
  /** Packed code, from another box that has it; 404 where none is connected. */
  code: {
    method: "GET",
    path: "/_postern/code/{hash}",
    parameters: { hash: CODE_HASH },
    result: { kind: "bytes" },
    timeoutMs: GATEWAY_TIMEOUT_MS,
  },
  /** A file of a Gradio endpoint, from another box that serves the app; 404 where none has it. */
  file: {
    method: "GET",
    path: "/_postern/files/{environment}/{app}/{function}/{folder}/{file}",
    parameters: {
      environment: NAME,
      app: NAME,
      function: NAME,
      folder: FILE_FOLDER,
      file: FILE_NAME,
    },
    result: { kind: "bytes" },
    timeoutMs: GATEWAY_TIMEOUT_MS,
  },
} as const satisfies Record<string, GatewayOperation>;

export type GatewayOperationName = keyof typeof GATEWAY_OPERATIONS;

type Row<Name extends GatewayOperationName> = (typeof GATEWAY_OPERATIONS)[Name];

export type GatewayOperationParameters<Name extends GatewayOperationName> = {
  readonly [Key in keyof Row<Name>["parameters"]]: string;
};

/** The JSON of an operation's request; undefined where it has none. */
export type GatewayOperationRequest<Name extends GatewayOperationName> =
  Row<Name> extends { request: { schema: infer Schema extends z.ZodType } }
    ? z.output<Schema>
    : undefined;

/** The JSON of an operation's response; undefined where it has none. */
export type GatewayOperationValue<Name extends GatewayOperationName> = Row<Name>["result"] extends {
  schema: infer Schema extends z.ZodType;
}
  ? z.output<Schema>
  : undefined;

/** An operation's path with its parameters in place. */
export function operationPath<Name extends GatewayOperationName>(
  name: Name,
  parameters: GatewayOperationParameters<Name>,
): string {
  const values: Readonly<Record<string, string>> = parameters;
  return GATEWAY_OPERATIONS[name].path.replace(/\{(\w+)\}/g, (_, key: string) =>
    encodeURIComponent(values[key] ?? ""),
  );
}

/**
 * The operations that gateway and agent ask of each other beside calls: two tables, one row an operation, used at both
 * ends.
 * The gateway asks an agent over the link, in an OPEN that names the operation. An agent asks the gateway by an
 * HTTP request with the box's credential. To add an operation, add a row; the compiler names what is missing.
 */
import * as z from "zod";
import { MIB } from "../../base/units.ts";
import {
  ASSIGNMENTS,
  BOX_REPORT,
  CODE_HASH,
  ENDPOINT_PAGE,
  ENDPOINT_PAGE_REQUEST,
  SECRET_VALUES,
} from "./deployments.ts";
import { CONTAINER_PAGE, CONTAINER_PAGE_REQUEST } from "./container-descriptions.ts";
import { CONTAINER_ID, LOG_QUERY } from "./container-logs.ts";
import {
  CALL_CURSOR,
  CALL_DESCRIPTION,
  CALL_PAGE,
  MAX_LISTED_CALLS,
  STATUS_QUERY,
  STATUS_REPORTS,
} from "./call-descriptions.ts";
import { ProtocolError } from "./frames.ts";
import type { OperationHead } from "./heads.ts";
import { CALL_ID, parseObject } from "./messages.ts";
import { POOL_LEASE, POOL_USES } from "./pool-leases.ts";

/** The agent answers from memory. */
const SHORT_TIMEOUT_MS = 10_000;

/** The agent unpacks and syncs code before it answers. */
const CODE_TIMEOUT_MS = 5 * 60_000;

/** The gateway asks its own storage alone. */
const GATEWAY_TIMEOUT_MS = 20_000;

const WORKSPACE = z.string().max(64);

/** The kinds of an operation's response. */
type OperationResult =
  /** A JSON value, whole in one frame. */
  | { readonly kind: "json"; readonly schema: z.ZodType }
  | { readonly kind: "nothing" }
  /** Bytes, after a Content-Length. */
  | { readonly kind: "bytes" }
  /** Lines of JSON, of unknown length. */
  | { readonly kind: "lines" };

interface AgentOperation {
  readonly parameters: z.ZodType;
  /** Whether the request has a body. */
  readonly takesBytes: boolean;
  readonly result: OperationResult;
  /** Until the first byte of the response, from the last one of the request on. */
  readonly timeoutMs: number;
}

const NOTHING = { kind: "nothing" } as const;

/** Gateway to agent. A failure is a REFUSE, or a RESET where the response has begun. */
export const AGENT_OPERATIONS = {
  /** Lists the calls that run, then the durable ones that ended, the newest of each first. */
  listCalls: {
    parameters: z.object({
      /** The workspace of the API token that asks. An agent of another workspace answers `not_found`. */
      workspace: WORKSPACE,
      limit: z.int().min(1).max(MAX_LISTED_CALLS),
      after: CALL_CURSOR.exactOptional(),
    }),
    takesBytes: false,
    result: { kind: "json", schema: CALL_PAGE },
    timeoutMs: SHORT_TIMEOUT_MS,
  },
  /** Describes one call; `no_such_call`. */
  inspectCall: {
    parameters: z.object({ workspace: WORKSPACE, callId: CALL_ID }),
    takesBytes: false,
    result: { kind: "json", schema: CALL_DESCRIPTION },
    timeoutMs: SHORT_TIMEOUT_MS,
  },
  /** Reports how far calls have come; those that the box does not know are left out. */
  reportStatus: {
    parameters: STATUS_QUERY,
    takesBytes: false,
    result: { kind: "json", schema: STATUS_REPORTS },
    timeoutMs: SHORT_TIMEOUT_MS,
  },
  /** Cancels a call, so that it does not run any more; one that has ended is left as it is. */
  cancelCall: {
    parameters: z.object({
      callId: CALL_ID,
      /** Absent: the holder of a result token asks, who may not cancel a private endpoint's call. */
      workspace: WORKSPACE.exactOptional(),
    }),
    takesBytes: false,
    result: NOTHING,
    timeoutMs: SHORT_TIMEOUT_MS,
  },
  /**
   * Lists the endpoints that the box serves with what they are at, by name. Functions that share containers are one,
   * under the name of the containers' own.
   */
  listEndpoints: {
    parameters: ENDPOINT_PAGE_REQUEST.extend({ workspace: WORKSPACE }),
    takesBytes: false,
    result: { kind: "json", schema: ENDPOINT_PAGE },
    timeoutMs: SHORT_TIMEOUT_MS,
  },
  /** Lists the containers of the box that are not gone, by id. */
  listContainers: {
    parameters: CONTAINER_PAGE_REQUEST.extend({ workspace: WORKSPACE }),
    takesBytes: false,
    result: { kind: "json", schema: CONTAINER_PAGE },
    timeoutMs: SHORT_TIMEOUT_MS,
  },
  /** Ends a container when it has finished its calls, and answers before; `not_found`. */
  stopContainer: {
    parameters: z.object({
      workspace: WORKSPACE,
      container: CONTAINER_ID,
      /** One of another environment is not found. */
      environment: z.string().max(64).optional(),
    }),
    takesBytes: false,
    result: NOTHING,
    timeoutMs: SHORT_TIMEOUT_MS,
  },
  /**
   * Reads logs of containers; `not_found` for a container that has no log on the box. An empty line says that the
   * follower of a log is still there.
   */
  containerLogs: {
    parameters: LOG_QUERY.extend({ workspace: WORKSPACE }),
    takesBytes: false,
    result: { kind: "lines" },
    timeoutMs: SHORT_TIMEOUT_MS,
  },
  /**
   * Releases an Idempotency-Key for another box, unless this one knows a call under it. A box that has released a
   * key begins no call under it for a minute: a gateway may still send one that was on its way.
   */
  releaseKey: {
    parameters: z.object({
      /** As in a RequestHead. */
      key: z.string().max(128),
    }),
    takesBytes: false,
    result: { kind: "json", schema: z.object({ released: z.boolean() }) },
    timeoutMs: SHORT_TIMEOUT_MS,
  },
  /** Says that the box's assignments have changed: the agent asks for them. */
  refreshAssignments: {
    parameters: z.object({}),
    takesBytes: false,
    result: NOTHING,
    timeoutMs: SHORT_TIMEOUT_MS,
  },
  /** Says that the box's shares of its pools may be others now: the agent asks for them. */
  refreshShares: {
    parameters: z.object({}),
    takesBytes: false,
    result: NOTHING,
    timeoutMs: SHORT_TIMEOUT_MS,
  },
  /** Whether the box has this code; `not_found`. */
  hasCode: {
    parameters: z.object({ hash: CODE_HASH }),
    takesBytes: false,
    result: NOTHING,
    timeoutMs: SHORT_TIMEOUT_MS,
  },
  /**
   * Gives the box packed code, and answers when it is on the disk for good. `bad_request` for bytes that do not
   * have the hash, `body_too_large`, `unavailable` without room.
   */
  putCode: {
    parameters: z.object({ hash: CODE_HASH }),
    takesBytes: true,
    result: NOTHING,
    timeoutMs: CODE_TIMEOUT_MS,
  },
  /** Gets packed code; `not_found`. */
  getCode: {
    parameters: z.object({ hash: CODE_HASH }),
    takesBytes: false,
    result: { kind: "bytes" },
    timeoutMs: SHORT_TIMEOUT_MS,
  },
} as const satisfies Record<string, AgentOperation>;

export type AgentOperationName = keyof typeof AGENT_OPERATIONS;

export type AgentOperationParameters<Name extends AgentOperationName> = z.output<
  (typeof AGENT_OPERATIONS)[Name]["parameters"]
>;

/** The JSON value of an operation's response. */
export type AgentOperationValue<Name extends AgentOperationName> =
  (typeof AGENT_OPERATIONS)[Name]["result"] extends { schema: infer Schema extends z.ZodType }
    ? z.output<Schema>
    : undefined;

/** The head of an OPEN that asks the agent itself. */
export function operationHead<Name extends AgentOperationName>(
  operation: Name,
  parameters: AgentOperationParameters<Name>,
): OperationHead {
  return { operation, parameters };
}

export function isAgentOperation(name: unknown): name is AgentOperationName {
  return typeof name === "string" && Object.hasOwn(AGENT_OPERATIONS, name);
}

/** Reads an operation's parameters. @throws {ProtocolError} */
export function parseParameters<Name extends AgentOperationName>(
  name: Name,
  parameters: unknown,
): AgentOperationParameters<Name> {
  const result = AGENT_OPERATIONS[name].parameters.safeParse(parameters);
  if (!result.success) throw new ProtocolError(`${name}: ${z.prettifyError(result.error)}`);
  return result.data as AgentOperationParameters<Name>;
}

/** Reads the JSON of an operation's response; undefined where the operation has none. @throws {ProtocolError} */
export function parseOperationValue<Name extends AgentOperationName>(
  name: Name,
  text: string,
): AgentOperationValue<Name> {
  const { result }: AgentOperation = AGENT_OPERATIONS[name];
  if (result.kind !== "json") return undefined as AgentOperationValue<Name>;
  const parsed = result.schema.safeParse(parseObject(text, name));
  if (!parsed.success) throw new ProtocolError(`${name}: ${z.prettifyError(parsed.error)}`);
  return parsed.data as AgentOperationValue<Name>;
}

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
  /** The box's shares of the pools that other boxes run too, for all that it says; 409 for a second agent of a box. */
  poolShares: {
    method: "POST",
    path: "/_postern/pools",
    parameters: {},
    request: { schema: POOL_USES, maxBytes: 4 * MIB },
    result: { kind: "json", schema: POOL_LEASE },
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

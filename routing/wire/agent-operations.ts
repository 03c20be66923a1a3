/**
 * The operations that the gateway asks of an agent beside calls: one row each, used at both ends. The gateway asks over
 * the link, in an OPEN that names the operation. To add an operation, add a row; the compiler names what is missing.
 */
import * as z from "zod";
import {
  CALL_CURSOR,
  CALL_DESCRIPTION,
  CALL_PAGE,
  MAX_LISTED_CALLS,
  STATUS_QUERY,
  STATUS_REPORTS,
} from "./call-descriptions.ts";
import { CONTAINER_PAGE, CONTAINER_PAGE_REQUEST } from "./container-descriptions.ts";
import { CONTAINER_ID, LOG_QUERY } from "./container-logs.ts";
import { CODE_HASH, ENDPOINT_PAGE, ENDPOINT_PAGE_REQUEST } from "./deployments.ts";
import { ProtocolError } from "./frames.ts";
import type { OperationHead } from "./heads.ts";
import { CALL_ID, parseObject } from "./messages.ts";
import { NOTHING, type OperationResult } from "./operation-result.ts";
import { POOL_LOAD } from "./pool-load.ts";
import { FILE_FOLDER, FILE_NAME } from "./shared-files.ts";
import { SESSION_CLAIM, SESSION_CLAIMED, SESSION_FOUND, SESSION_QUERY } from "./sessions.ts";

/** The agent answers from memory. */
const SHORT_TIMEOUT_MS = 10_000;

/** The agent unpacks and syncs code before it answers. */
const CODE_TIMEOUT_MS = 5 * 60_000;

/** A client's request waits for the answer. */
const SESSION_TIMEOUT_MS = 1_000;

const WORKSPACE = z.string().max(64);

interface AgentOperation {
  readonly parameters: z.ZodType;
  /** Whether the request has a body. */
  readonly takesBytes: boolean;
  readonly result: OperationResult;
  /** Until the first byte of the response, from the last one of the request on. */
  readonly timeoutMs: number;
}

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
  /**
   * The load of an endpoint, as the request would find it: before one whose body streams is given away; `no_origin`, and
   * the refusals of its target.
   */
  poolLoad: {
    parameters: z.object({
      endpoint: z.string().max(512),
      /** As in a RequestHead; an older gateway does not say them. */
      target: z.string().exactOptional(),
      mayRefuse: z.boolean().exactOptional(),
    }),
    takesBytes: false,
    result: { kind: "json", schema: POOL_LOAD },
    timeoutMs: SHORT_TIMEOUT_MS,
  },
  /** Whether the box has a session of the endpoint by one of these keys. */
  findSession: {
    parameters: SESSION_QUERY,
    takesBytes: false,
    result: { kind: "json", schema: SESSION_FOUND },
    timeoutMs: SESSION_TIMEOUT_MS,
  },
  /**
   * Claims a new session for a box: of all who claim its key at this box within a while, the first one's box is told to
   * each.
   */
  claimSession: {
    parameters: SESSION_CLAIM,
    takesBytes: false,
    result: { kind: "json", schema: SESSION_CLAIMED },
    timeoutMs: SESSION_TIMEOUT_MS,
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
  /** Gets a file of a Gradio endpoint; `not_found`. */
  getFile: {
    parameters: z.object({
      endpoint: z.string().max(512),
      folder: FILE_FOLDER,
      name: FILE_NAME,
    }),
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

/**
 * The operations that a gateway asks of this agent (routing/wire/agent-operations.ts): those about calls are answered
 * here, those about deployed apps by the parts that have them.
 */
import type { Failure } from "../routing/wire/messages.ts";
import { admit, loadOf } from "./admitted-calls.ts";
import type { CallRegistry } from "./calls/call-registry.ts";
import type { KeyedCalls } from "./calls/keyed-calls.ts";
import type { AppRuntimes } from "./apps/app-runtimes.ts";
import { type ContainerListing, containerOperations } from "./apps/container-operations.ts";
import type { DeploymentOperation } from "./apps/deployed-apps.ts";
import { fileOperations } from "./apps/file-operations.ts";
import { sessionOperations } from "./apps/session-operations.ts";
import type { ContainerLogs } from "./logs/container-logs.ts";
import { logReader } from "./logs/log-delivery.ts";
import { whereabouts } from "./open-call.ts";
import { HeldStream } from "./link/held-stream.ts";
import { type OperationHandlers, refuse, reply, replyNothing } from "./link/operation-server.ts";

export interface AgentOperations {
  readonly calls: Pick<CallRegistry, "list" | "inspect" | "cancel" | "reportStatus"> & {
    readonly keys: Pick<KeyedCalls, "release">;
  };
  readonly apps: Pick<AppRuntimes, "find" | "activity"> & ContainerListing;
  readonly logs: Pick<ContainerLogs, "read">;
  /** The workspace that this box belongs to. Others are told of nothing. */
  readonly workspace: string;
  /** The box takes no calls any more. */
  readonly isDraining: () => boolean;
  readonly box: string;
  /** Absent where no app may be deployed to this box. */
  readonly deployments: OperationHandlers<DeploymentOperation> | undefined;
}

/** The handlers of all operations. */
export function operationHandlers({
  calls,
  apps,
  logs,
  workspace: own,
  isDraining,
  box: ownBox,
  deployments,
}: AgentOperations): OperationHandlers {
  // An endpoint that is not served any more may have been private.
  const isPrivate = (endpoint: string): boolean =>
    apps.find(endpoint)?.settings.requiresProxyAuth ?? true;
  const readLogs = logReader(logs);
  return {
    listCalls: ({ workspace, limit, after }, { stream }) => {
      if (workspace !== own) return refuse(stream, ANOTHER_WORKSPACE);
      const { calls: items, next } = calls.list(limit, after);
      return reply(stream, "listCalls", { calls: items, ...(next === undefined ? {} : { next }) });
    },
    inspectCall: ({ workspace, callId }, { stream }) => {
      if (workspace !== own) return refuse(stream, ANOTHER_WORKSPACE);
      const call = calls.inspect(callId);
      if (call === undefined) return refuse(stream, NO_SUCH_CALL);
      return reply(stream, "inspectCall", call);
    },
    reportStatus: ({ callIds }, { stream }) =>
      reply(stream, "reportStatus", { calls: calls.reportStatus(callIds) }),
    cancelCall: ({ workspace, callId }, { stream }) => {
      if (workspace !== undefined && workspace !== own) return refuse(stream, ANOTHER_WORKSPACE);
      const call = calls.inspect(callId);
      if (call === undefined) return refuse(stream, NO_SUCH_CALL);
      if (workspace === undefined && isPrivate(call.endpoint)) return refuse(stream, IS_PRIVATE);
      calls.cancel(callId);
      return replyNothing(stream);
    },
    listEndpoints: ({ workspace, limit, after = "" }, { stream }) => {
      if (workspace !== own) return refuse(stream, ANOTHER_WORKSPACE);
      const rest = apps.activity.filter(({ endpoint }) => endpoint > after);
      const page = { endpoints: rest.slice(0, limit), hasMore: rest.length > limit };
      return reply(stream, "listEndpoints", page);
    },
    ...containerOperations(apps, own),
    containerLogs: ({ workspace, ...query }, { stream }) =>
      workspace === own ? readLogs(query, stream) : refuse(stream, ANOTHER_WORKSPACE),
    releaseKey: ({ key }, { stream }) =>
      reply(stream, "releaseKey", { released: calls.keys.release(key) }),
    poolLoad: ({ endpoint, target, mayRefuse = false }, { stream }) => {
      const served = apps.find(endpoint);
      const answer = () => {
        const admitted = admit(
          served,
          target === undefined ? {} : { target },
          isDraining() ? "for_good" : undefined,
        );
        if (!admitted.ok) return refuse(stream, admitted.error);
        return reply(stream, "poolLoad", loadOf(admitted.value));
      };
      const undecided =
        target === undefined ? undefined : whereabouts(served, { target, mayRefuse });
      if (undecided === undefined) return answer();
      const held = new HeldStream(stream, answer);
      void undecided.then(() => held.release(undefined));
      return held;
    },
    ...sessionOperations(apps, ownBox),
    ...fileOperations(apps),
    ...(deployments ?? TAKES_NO_DEPLOYMENTS),
  };
}

const ANOTHER_WORKSPACE: Failure = {
  code: "not_found",
  detail: "the box serves no app of this workspace",
};

const NO_SUCH_CALL: Failure = { code: "no_such_call", detail: "the box does not know this call" };

/** A result URL alone does not cancel a private endpoint's call. */
const IS_PRIVATE: Failure = {
  code: "forbidden",
  detail: "the endpoint is private: cancel with an API token",
};

const NO_DEPLOYMENTS: Failure = {
  code: "not_found",
  detail: "this box takes no deployments; run postern origin or postern up there",
};

const TAKES_NO_DEPLOYMENTS: OperationHandlers<DeploymentOperation> = {
  refreshAssignments: (_, { stream }) => refuse(stream, NO_DEPLOYMENTS),
  refreshShares: (_, { stream }) => refuse(stream, NO_DEPLOYMENTS),
  hasCode: (_, { stream }) => refuse(stream, NO_DEPLOYMENTS),
  putCode: (_, { stream }) => refuse(stream, NO_DEPLOYMENTS),
  getCode: (_, { stream }) => refuse(stream, NO_DEPLOYMENTS),
};

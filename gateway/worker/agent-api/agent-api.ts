/**
 * The API for agents: the operations of GATEWAY_OPERATIONS at their paths, the link itself and the dial-back of a
 * WebSocket. Each request carries the box's credential, which is verified before anything else.
 */
import { Hono } from "hono";
import {
  GATEWAY_OPERATIONS,
  type GatewayOperationName,
} from "../../../routing/wire/gateway-operations.ts";
import type { Env } from "../../contracts/env.ts";
import { type AgentRequest, readAgentRequest } from "./agent-request.ts";
import { answerAssignments, takeReport } from "./assignments.ts";
import { relayCode } from "./code.ts";
import { relayFile } from "./files.ts";
import { acceptDial, acceptLink } from "./links.ts";
import { answerPoolShares } from "./pool-shares.ts";
import { answerSecrets } from "./secrets.ts";
import { takeUsage } from "./usage.ts";

const HANDLERS: {
  readonly [Name in GatewayOperationName]: (request: AgentRequest<Name>) => Promise<Response>;
} = {
  assignments: answerAssignments,
  report: takeReport,
  poolShares: answerPoolShares,
  usage: takeUsage,
  secrets: answerSecrets,
  code: relayCode,
  file: relayFile,
};

export const agentApi = new Hono<{ Bindings: Env }>();

agentApi.get("/_postern/link/:link", (context) =>
  acceptLink(context.req.raw, context.env, context.req.param("link")),
);

agentApi.get("/_postern/dial/:link/:nonce", (context) =>
  acceptDial(context.req.raw, context.env, context.req.param("link"), context.req.param("nonce")),
);

for (const name of Object.keys(GATEWAY_OPERATIONS) as GatewayOperationName[]) {
  const { method, path } = GATEWAY_OPERATIONS[name];
  agentApi.on(method, path.replaceAll(/\{(\w+)\}/g, ":$1"), async (context) => {
    const request = await readAgentRequest(name, context.req.raw, context.env, context.req.param());
    return request instanceof Response ? request : await handle(name, request);
  });
}

function handle<Name extends GatewayOperationName>(
  name: Name,
  request: AgentRequest<Name>,
): Promise<Response> {
  return HANDLERS[name](request);
}

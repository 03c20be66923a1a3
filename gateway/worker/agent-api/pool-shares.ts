/** A box's shares of the pools that other boxes run too (docs/protocol.md, "Pools of several boxes"). */
import { workspaceStub } from "../../contracts/stubs.ts";
import { type AgentRequest, lineResponse } from "./agent-request.ts";

export async function answerPoolShares({
  env,
  box: { workspace, box },
  body,
  sender,
}: AgentRequest<"poolShares">): Promise<Response> {
  const lease = await workspaceStub(env, workspace).poolShares(box, body, sender);
  return lease === undefined
    ? lineResponse(409, `another agent is connected as box ${box}, or it has asked again since`)
    : Response.json(lease);
}

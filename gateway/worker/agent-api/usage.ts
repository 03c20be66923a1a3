/** The use of a box by tokens (docs/protocol.md, "Usage"). */
import { meterStub } from "../../contracts/stubs.ts";
import { type AgentRequest, lineResponse } from "./agent-request.ts";

export async function takeUsage({
  env,
  box: { workspace, box },
  body: { batch, rows },
  sender: { incarnation = "" },
}: AgentRequest<"usage">): Promise<Response> {
  if (!/^[0-9a-f]{32}$/.test(incarnation)) {
    return lineResponse(400, "the request must name the agent's incarnation");
  }
  await meterStub(env, workspace).noteUsage({ box, incarnation, batch, rows });
  return new Response(null, { status: 204 });
}

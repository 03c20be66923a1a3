/**
 * Relays an app's packed code to a box that lacks it, from another box of its workspace, over the links of
 * both. The gateway stores no code.
 */
import { workspaceStub } from "../../contracts/stubs.ts";
import { askAgentForBytes, type OperationBytes } from "../proxy/agent-client.ts";
import { type AgentRequest, lineResponse } from "./agent-request.ts";

/** The bytes of packed code, from the first connected box that has it; 404 where none has. */
export async function relayCode({
  env,
  box: { workspace, box: asking },
  parameters: { hash },
}: AgentRequest<"code">): Promise<Response> {
  const holders = await workspaceStub(env, workspace).holdersOf({ code: hash });
  for (const holder of holders) {
    if (holder.box === asking) continue;
    const answer = await askAgentForBytes(env, { workspace, box: holder }, "getCode", { hash });
    if (answer.ok) return bytesResponse(answer.value);
  }
  const short = hash.slice(0, 12);
  return lineResponse(
    404,
    `no connected box has the code ${short}; deploy it again, or connect one that has`,
  );
}

/** The length that the box declares goes along, so that a short body is seen to be one. */
export function bytesResponse({ length, body }: OperationBytes): Response {
  const declared = length === undefined ? {} : { "content-length": `${length}` };
  return new Response(body, {
    headers: { "content-type": "application/octet-stream", ...declared },
  });
}

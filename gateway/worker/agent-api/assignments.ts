/** A box's assignments and its reports (docs/protocol.md, "Deployed apps"). */
import { workspaceStub } from "../../contracts/stubs.ts";
import type { AgentRequest } from "./agent-request.ts";

/** The workspace makes the JSON; its secrets are not to be stored on the way. */
export async function answerAssignments({
  env,
  box: { workspace, box },
}: AgentRequest<"assignments">): Promise<Response> {
  const assignments = await workspaceStub(env, workspace).assignments(box);
  const headers = { "content-type": "application/json", "cache-control": "no-store" };
  return new Response(assignments, { headers });
}

export async function takeReport({
  env,
  box: { workspace, box },
  body,
  sender,
}: AgentRequest<"report">): Promise<Response> {
  await workspaceStub(env, workspace).report(box, body, sender);
  return new Response(null, { status: 204 });
}

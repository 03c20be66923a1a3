/**
 * The secrets of apps that a box announces (docs/protocol.md, "Secrets"). Those of deployed apps come with
 * their assignments.
 */
import { workspaceStub } from "../../contracts/stubs.ts";
import { type AgentRequest, lineResponse } from "./agent-request.ts";

/** Answers with names and their variables, for the memory of the agent alone. */
export async function answerSecrets({
  env,
  box: { workspace, box },
  body: { environment, names },
}: AgentRequest<"secrets">): Promise<Response> {
  const read = await workspaceStub(env, workspace).secretsOfBox(box, environment, names);
  if (read === undefined) {
    return lineResponse(403, `box ${box} serves no app of its own in environment ${environment}`);
  }
  const [problem] = read.problems;
  if (problem !== undefined) return lineResponse(404, problem);
  return Response.json(read.values, { headers: { "cache-control": "no-store" } });
}

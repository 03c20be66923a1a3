/** Relays a file of a Gradio endpoint to a box that lacks it, from another box that serves the app. */
import { workspaceStub } from "../../contracts/stubs.ts";
import { askAgentForBytes } from "../proxy/agent-client.ts";
import { type AgentRequest, lineResponse } from "./agent-request.ts";
import { bytesResponse } from "./code.ts";

/** The file's bytes, from the first connected box that has it; 404 for a box that does not serve the app, too. */
export async function relayFile({
  env,
  box: { workspace, box: asking },
  parameters: { environment, app, function: name, folder, file },
}: AgentRequest<"file">): Promise<Response> {
  const endpoint = `${environment}/${app}/${name}`;
  const held = { environment, app, beside: asking };
  for (const box of await workspaceStub(env, workspace).holdersOf(held)) {
    const asked = { endpoint, folder, name: file };
    const answer = await askAgentForBytes(env, { workspace, box }, "getFile", asked);
    if (answer.ok) return bytesResponse(answer.value);
  }
  return lineResponse(404, `no other connected box of ${endpoint} has the file`);
}

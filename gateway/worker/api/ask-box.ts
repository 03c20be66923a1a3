/** The API's questions to a box of the caller's workspace. */
import { isObjectName } from "../../../routing/names.ts";
import type {
  AgentOperationName,
  AgentOperationParameters,
  AgentOperationValue,
} from "../../../routing/wire/operations.ts";
import type { Env } from "../../contracts/env.ts";
import { workspaceStub } from "../../contracts/stubs.ts";
import { askAgent } from "../proxy/agent-client.ts";
import { ApiProblem } from "./problems.ts";

/** Asks the agent of a box of the workspace. @throws {ApiProblem} with its reason where it refuses */
export async function askBox<Name extends AgentOperationName>(
  env: Env,
  { workspace, box }: { workspace: string; box: string },
  name: Name,
  parameters: AgentOperationParameters<Name>,
): Promise<AgentOperationValue<Name>> {
  const known = isObjectName(box) ? await workspaceStub(env, workspace).box(box) : undefined;
  if (known === undefined) throw new ApiProblem("not_found", "there is no box of this name");
  const place = { workspace, box: { box, links: known.links } };
  const answer = await askAgent(env, place, name, parameters);
  if (!answer.ok) throw new ApiProblem(answer.error.code, answer.error.detail);
  return answer.value;
}

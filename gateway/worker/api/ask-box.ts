/** The API's questions to a box of the caller's workspace. */
import { isObjectName } from "../../../routing/names.ts";
import type {
  AgentOperationName,
  AgentOperationParameters,
  AgentOperationValue,
} from "../../../routing/wire/agent-operations.ts";
import type { Env } from "../../contracts/env.ts";
import type { ResponseBody } from "../../contracts/attempt.ts";
import { workspaceStub } from "../../contracts/stubs.ts";
import { type AgentPlace, askAgent, askAgentForBytes } from "../proxy/agent-client.ts";
import { ApiProblem } from "./problems.ts";

interface BoxOfWorkspace {
  readonly workspace: string;
  readonly box: string;
}

/** Asks the agent of a box of the workspace. @throws {ApiProblem} with its reason where it refuses */
export async function askBox<Name extends AgentOperationName>(
  env: Env,
  box: BoxOfWorkspace,
  name: Name,
  parameters: AgentOperationParameters<Name>,
): Promise<AgentOperationValue<Name>> {
  const answer = await askAgent(env, await placeOf(env, box), name, parameters);
  if (!answer.ok) throw new ApiProblem(answer.error.code, answer.error.detail);
  return answer.value;
}

/** Asks such an agent for lines, as they come. @throws {ApiProblem} with its reason where it refuses */
export async function askBoxForLines(
  env: Env,
  box: BoxOfWorkspace,
  name: "containerLogs",
  parameters: AgentOperationParameters<"containerLogs">,
): Promise<ResponseBody> {
  const answer = await askAgentForBytes(env, await placeOf(env, box), name, parameters);
  if (!answer.ok) throw new ApiProblem(answer.error.code, answer.error.detail);
  return answer.value.body;
}

async function placeOf(env: Env, { workspace, box }: BoxOfWorkspace): Promise<AgentPlace> {
  const known = isObjectName(box) ? await workspaceStub(env, workspace).box(box) : undefined;
  if (known === undefined) throw new ApiProblem("not_found", "there is no box of this name");
  return { workspace, box: { box, links: known.links } };
}

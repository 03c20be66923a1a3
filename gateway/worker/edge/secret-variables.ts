/** Variables of a workspace's secrets, for requests of the gateway's own on an endpoint's behalf. */
import type { Env } from "../../contracts/env.ts";
import type { Snapshot } from "../../contracts/names.ts";
import { workspaceStub } from "../../contracts/stubs.ts";
import { withinWait } from "./snapshot-cache.ts";

/** The variables of these secrets, of an endpoint's environment; undefined where the workspace has not all of them. */
export async function secretVariables(
  env: Env,
  { workspace, environment }: Pick<Snapshot, "workspace" | "environment">,
  secrets: readonly string[],
): Promise<Record<string, string> | undefined> {
  if (secrets.length === 0) return {};
  const asked = workspaceStub(env, workspace).secretsOfBox(undefined, environment, [...secrets]);
  const read = await withinWait(asked);
  if (read === undefined || read === "late" || read.problems.length > 0) return undefined;
  return Object.assign({}, ...secrets.map((name) => read.values[name])) as Record<string, string>;
}

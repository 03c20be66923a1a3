/** The isolate's memory of the proxy tokens of workspaces, and of which sign-ins count. */
import type { Env } from "../../contracts/env.ts";
import { workspaceStub } from "../../contracts/stubs.ts";
import type { Credentials } from "../../contracts/workspace/tokens.ts";
import type { Refusal } from "../../../routing/wire/errors.ts";
import { SnapshotCache } from "./snapshot-cache.ts";

/** Workspaces whose credentials an isolate remembers. */
const MAX_WORKSPACES = 256;

const credentials = new SnapshotCache<Credentials>(
  async (env, workspace, known) =>
    (await workspaceStub(env, workspace).credentials(known?.version)) ?? known,
  MAX_WORKSPACES,
);

export const CREDENTIALS_UNAVAILABLE: Refusal = {
  code: "unavailable",
  detail: "the registry of credentials did not answer",
};

/** A workspace's credentials, at most 5 s old; undefined where its object does not answer. */
export async function credentialsOf(
  env: Env,
  execution: ExecutionContext,
  workspace: string,
): Promise<Credentials | undefined> {
  const found = await credentials.lookup(env, execution, workspace);
  return "unavailable" in found ? undefined : found.snapshot;
}

/** Which of a workspace's environments a command means. */

import { GET_ENVIRONMENT, LIST_ENVIRONMENTS } from "../api/environments.ts";
import { isObjectName } from "../routing/names.ts";
import type { ApiClient } from "./client.ts";
import { UsageError } from "./failure.ts";
import { Profiles } from "./profiles.ts";

/**
 * In this order: what the command line or the app's file says, POSTERN_ENVIRONMENT, the active profile's,
 * the only one that there is. @throws UsageError with the names where several are left
 */
export async function chooseEnvironment(
  client: ApiClient,
  said: string | undefined,
  variables: Readonly<Record<string, string | undefined>>,
): Promise<string> {
  const named = namedEnvironment(said, variables);
  if (named !== undefined) return named;
  const profiles = Profiles.ofUser(variables);
  const profile = profiles.activeName(variables);
  const kept = profile === undefined ? undefined : profiles.get(profile)?.environment;
  if (kept !== undefined) return checked(kept, `profile ${profile}`);
  const names = (await client.list(LIST_ENVIRONMENTS, {})).map(({ name }) => name);
  const [only] = names;
  if (only !== undefined && names.length === 1) return only;
  throw new UsageError(
    `which environment? name it with --env or POSTERN_ENVIRONMENT: ${names.join(", ")}`,
  );
}

/** The name that the command line, the app's file or POSTERN_ENVIRONMENT gives, in this order. */
export function namedEnvironment(
  said: string | undefined,
  variables: Readonly<Record<string, string | undefined>>,
): string | undefined {
  if (said !== undefined) return checked(said, "--env");
  const variable = variables["POSTERN_ENVIRONMENT"];
  return variable ? checked(variable, "POSTERN_ENVIRONMENT") : undefined;
}

/**
 * The environment that `--env` restricts a list to; undefined for the whole workspace. A mistyped name is refused, where
 * it would list nothing.
 */
export async function knownEnvironment(
  client: ApiClient,
  said: string | undefined,
): Promise<string | undefined> {
  if (said === undefined) return undefined;
  const environment = checked(said, "--env");
  await client.call(GET_ENVIRONMENT, { path: { environment } });
  return environment;
}

function checked(name: string, from: string): string {
  if (isObjectName(name)) return name;
  throw new UsageError(`${from}: "${name}" is not 1 to 64 of letters, digits, "-", "." and "_"`);
}

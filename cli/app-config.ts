/** How commands read an app's postern.toml: what is wrong with it is said all at once, and nothing starts. */

import { formatProblems, loadConfig, type AppConfig } from "../origin-gpu/config/config.ts";
import { isObjectName } from "../routing/names.ts";
import { Failure, UsageError } from "./failure.ts";

/** Reads and checks postern.toml; a Failure lists everything that is wrong with it. `--env` wins over it. */
export async function readConfig(
  path: string,
  environment: string | undefined,
): Promise<AppConfig> {
  if (environment !== undefined && !isObjectName(environment)) {
    throw new UsageError(
      `--env: "${environment}" is not 1 to 64 of letters, digits, "-", "." and "_"`,
    );
  }
  const result = await loadConfig(path);
  if (!result.ok) throw new Failure(formatProblems(result.problems));
  return environment === undefined ? result.config : { ...result.config, environment };
}

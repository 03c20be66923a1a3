/** Makes the environment variables of a container. The agent's own environment and Node are arguments. */
import { realpathSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";

import type { AppUser } from "../app-user.ts";

type Environment = Readonly<Record<string, string | undefined>>;

export interface EnvironmentSources {
  /** The agent's own environment, where PATH, HOME and CUDA's settings come from. */
  readonly inherited: Environment;
  /** Who runs the container, where that is not the agent's own user. */
  readonly user?: Pick<AppUser, "name" | "home"> | undefined;
  /** The endpoint's `env`. */
  readonly configured: Environment;
  /** Variables that the agent gives; they override all others. */
  readonly given: Environment;
}

/**
 * The agent's own settings and credentials (POSTERN_…) stay with the agent: an app must not be able to
 * act as the box that runs it.
 */
export function containerEnvironment(sources: EnvironmentSources): Record<string, string> {
  const environment: Record<string, string> = {
    // Without it Python holds back what an app prints until 8 KiB have come together.
    PYTHONUNBUFFERED: "1",
  };
  for (const [name, value] of Object.entries(sources.inherited)) {
    if (value !== undefined && !name.startsWith("POSTERN_")) environment[name] = value;
  }
  if (sources.user !== undefined) becomeOf(sources.user, environment);
  for (const [name, value] of Object.entries({ ...sources.configured, ...sources.given })) {
    if (value !== undefined) environment[name] = value;
  }
  return environment;
}

/** Leads programs that look for their user's files to this user's, not to those of the agent's own user. */
function becomeOf(
  { name: user, home }: Pick<AppUser, "name" | "home">,
  environment: Record<string, string>,
): void {
  for (const name of Object.keys(environment)) {
    if (name.startsWith("XDG_")) delete environment[name];
  }
  Object.assign(environment, { HOME: home, USER: user, LOGNAME: user });
}

/**
 * A PATH on which `node` is the Node that runs the agent, so that an app in TypeScript runs wherever
 * Postern does. Unchanged where it already is: the order of the user's own programs counts.
 * @param resolvePath as realpath; throws where there is no such file
 */
export function pathWithNode(
  path: string,
  node: string,
  resolvePath: (file: string) => string = realpathSync,
): string {
  for (const directory of path.split(delimiter)) {
    let found: string;
    try {
      found = resolvePath(join(directory, "node"));
    } catch {
      continue;
    }
    if (found === resolvePath(node)) return path;
    break;
  }
  return path === "" ? dirname(node) : dirname(node) + delimiter + path;
}

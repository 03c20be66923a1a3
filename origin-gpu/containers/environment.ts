/** Makes the environment variables of a container. */
import { realpathSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";

import type { AppUser } from "../app-user.ts";
import type { EndpointConfig } from "../config/app-config.ts";
import type { Card } from "../core/cards.ts";

/** The variables of an endpoint's containers, besides those of one container alone. */
export function variablesOf(
  { env }: Pick<EndpointConfig, "env">,
  given: Environment,
  user: AppUser | undefined,
): Record<string, string> {
  const sources = { inherited: process.env, user, configured: env, given };
  const environment = containerEnvironment(sources);
  return { ...environment, PATH: pathWithNode(environment["PATH"] ?? "", process.execPath) };
}

/** Shows a container its own cards and no others. Numbers are in the order of the bus, as nvidia-smi has them. */
export function cardVariables(cards: readonly Card[]): Record<string, string> {
  if (cards.length === 0) return {};
  const devices = cards.map(({ id }) => id).join(",");
  return { CUDA_VISIBLE_DEVICES: devices, CUDA_DEVICE_ORDER: "PCI_BUS_ID" };
}

type Environment = Readonly<Record<string, string | undefined>>;

export interface EnvironmentSources {
  /** The agent's own environment, where PATH, HOME and CUDA's settings come from. */
  readonly inherited: Environment;
  /** Who runs the container, where that is not the agent's own user. */
  readonly user?: Pick<AppUser, "name" | "home"> | undefined;
  /** The endpoint's `env`. */
  readonly configured: Environment;
  /** ContainerVariables that the agent gives; they override all others. */
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

/** A workspace's environments. Times are milliseconds of the epoch. */
import { err, type Err, type Result } from "../../../base/result.ts";
import type { Refusal } from "../../../routing/wire/errors.ts";
import type { Page, PageRequest } from "./pages.ts";

/** Times are milliseconds of the epoch. */
export interface EnvironmentInfo {
  readonly name: string;
  /** Follows the workspace's name in URLs, normalised; empty for one environment at most. */
  readonly webSuffix: string;
  readonly createdAt: number;
  readonly createdBy: string;
}

export interface NewEnvironment {
  readonly name: string;
  /** Undefined: the name, normalised. */
  readonly webSuffix: string | undefined;
}

export type EnvironmentChange = Partial<NewEnvironment>;

export function noEnvironment(name: string): Err<Refusal> {
  return err({ code: "not_found", detail: `the workspace has no environment ${name}` });
}

export interface EnvironmentMethods {
  listEnvironments(page: PageRequest): Page<EnvironmentInfo>;
  environment(name: string): EnvironmentInfo | undefined;
  createEnvironment(chosen: NewEnvironment, by: string): Result<EnvironmentInfo, Refusal>;
  /** Refused for another name while apps live there: calls are addressed by it. */
  updateEnvironment(name: string, change: EnvironmentChange): Result<EnvironmentInfo, Refusal>;
  /** Stops an environment's apps and forgets it, with its secrets. */
  deleteEnvironment(name: string): Result<undefined, Refusal>;
}

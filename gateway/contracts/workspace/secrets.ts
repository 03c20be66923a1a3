/** A workspace's secrets. Times are milliseconds of the epoch. */
import type { Result } from "../../../base/result.ts";
import type { Refusal } from "../../../routing/wire/errors.ts";
import type { Variables } from "../../../auth/secrets.ts";
import type { Page, PageRequest } from "./pages.ts";

export interface NewSecret {
  readonly environment: string;
  readonly name: string;
  readonly variables: Readonly<Variables>;
  /** Whether one that is there is replaced, or the new one refused. */
  readonly replace: boolean;
}

/** A secret as people see it. Times are milliseconds of the epoch. */
export interface SecretInfo {
  readonly name: string;
  /** The names of its variables. */
  readonly variables: string[];
  /** False where the gateway's key is another one than the secret was made under. */
  readonly readable: boolean;
  readonly createdAt: number;
  readonly updatedAt: number;
  /** The API token that set the values. */
  readonly updatedBy: string;
}

/** Secrets with their values, and why others are not among them. */
export interface ReadSecrets {
  readonly values: Record<string, Variables>;
  readonly problems: string[];
}

export interface SecretMethods {
  listSecrets(environment: string, page: PageRequest): Promise<Result<Page<SecretInfo>, Refusal>>;
  putSecret(chosen: NewSecret, by: string): Promise<Result<SecretInfo, Refusal>>;
  deleteSecret(environment: string, name: string): Result<undefined, Refusal>;
  /**
   * Secrets for a box that announces an app of the environment; undefined for another box.
   * @param box undefined: the edge asks, for an endpoint's fallback (routing/fallback.ts)
   */
  secretsOfBox(
    box: string | undefined,
    environment: string,
    names: readonly string[],
  ): Promise<ReadSecrets | undefined>;
}

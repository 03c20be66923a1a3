/** A workspace's proxy tokens and API tokens, as its object is asked for them. Times are milliseconds of the epoch. */
import type { Result } from "../../../base/result.ts";
import type { Refusal } from "../../../routing/wire/errors.ts";
import type {
  ProxyToken,
  TokenLimits,
  TokenLimitsChange,
} from "../../../auth/proxy-authorization.ts";
import type { Scope } from "../../../api/scopes.ts";
import type { Page, PageRequest } from "./pages.ts";

/** A token's last use is known to within this time, so that no request costs a write. */
export const LAST_USE_RESOLUTION_MS = 10 * 60_000;

/** A workspace's proxy tokens for the edge, and which sign-ins count; `version` changes with every change. */
export interface Credentials {
  readonly version: number;
  /** How often the workspace's sign-ins were revoked: cookies of people name it. */
  readonly signInRound: number;
  readonly tokens: Map<string, ProxyToken>;
}

export interface NewProxyToken {
  readonly name: string;
  readonly environments: readonly string[];
  readonly apps: readonly string[];
  readonly paths: readonly string[];
  /** Absent: none. */
  readonly limits?: TokenLimits;
  readonly expiresAt: number | null;
}

/** A token as people see it once it is made. Times are milliseconds of the epoch. */
export interface ProxyTokenInfo {
  readonly id: string;
  readonly name: string;
  readonly environments: string[];
  readonly apps: string[];
  readonly paths: string[];
  readonly limits: TokenLimits;
  readonly createdAt: number;
  readonly createdBy: string;
  readonly expiresAt: number | null;
  readonly lastUsedAt: number | null;
}

export interface NewApiToken {
  readonly name: string;
  readonly scope: Scope;
  readonly expiresAt: number | null;
}

/** A token as people see it once it is made. Times are milliseconds of the epoch. */
export interface ApiTokenInfo {
  readonly id: string;
  readonly name: string;
  readonly scope: Scope;
  readonly createdAt: number;
  readonly createdBy: string;
  readonly expiresAt: number | null;
  readonly lastUsedAt: number | null;
}

/** A token as it is shown once. */
export type Disclosed<Info> = Info & { readonly secret: string };

export interface TokenMethods {
  /** The present credentials; undefined when `known` is their version. */
  credentials(known?: number): Credentials | undefined;
  /** One proxy token, for an id that is newer than the edge's knowledge; undefined when it is gone. */
  proxyToken(id: string): ProxyToken | undefined;
  /** Notes that proxy tokens were used now. */
  noteProxyTokenUse(id: string): void;
  /** Refused for an environment that the workspace does not have: its name is mistyped. */
  createProxyToken(
    chosen: NewProxyToken,
    by: string,
  ): Promise<Result<Disclosed<ProxyTokenInfo>, Refusal>>;
  listProxyTokens(page: PageRequest): Page<ProxyTokenInfo>;
  /** Changes its limits; refused where it is not there. */
  changeProxyToken(id: string, change: TokenLimitsChange): Result<ProxyTokenInfo, Refusal>;
  revokeProxyToken(id: string): Result<boolean, Refusal>;
  revokeSignIns(): void;
  /** The API token that id and digest prove, and notes its use; undefined when they prove none. */
  authenticate(id: string, digest: ArrayBuffer): ApiTokenInfo | undefined;
  createApiToken(
    chosen: NewApiToken,
    by: string,
  ): Promise<Result<Disclosed<ApiTokenInfo>, Refusal>>;
  listApiTokens(page: PageRequest): Page<ApiTokenInfo>;
  /** Refused for the last admin's token: nobody could make another one. */
  revokeApiToken(id: string): Result<boolean, Refusal>;
}

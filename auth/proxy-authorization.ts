/**
 * May this caller pass an endpoint's lock? Decides from what the edge already knows of the workspace's
 * proxy tokens, and says so when that is not enough. Loads nothing and knows no clock.
 */
import type { GatewayKeys } from "./keys.ts";
import { type Credential, digestOf, isOurId, sameDigest } from "./tokens.ts";

/** What the edge knows of one proxy token. */
export interface ProxyToken {
  readonly digest: ArrayBuffer;
  /** Milliseconds of the epoch; undefined: it does not expire. */
  readonly expiresAt?: number | undefined;
  /** Empty: every environment of the workspace. */
  readonly environments: readonly string[];
  /** Empty: every app. */
  readonly apps: readonly string[];
}

/** What is behind the lock. */
export interface LockedEndpoint {
  readonly workspace: string;
  readonly environment: string;
  readonly app: string;
}

export type Verdict =
  | { readonly kind: "allowed"; readonly id: string }
  | {
      readonly kind: "refused";
      readonly code: "missing_credentials" | "invalid_credentials" | "forbidden";
    }
  /** The gateway made this id and the snapshot lacks it: it is new, or it is gone. Look it up. */
  | { readonly kind: "unknown"; readonly id: string };

/** Compared with where there is no token, so that a missing id takes as long as a wrong secret. */
const NO_TOKEN: ProxyToken = { digest: new ArrayBuffer(32), environments: [], apps: [] };

/**
 * @param tokens by id, as of the snapshot
 * @param now milliseconds of the epoch
 */
export async function authorizeProxy(
  keys: GatewayKeys,
  tokens: ReadonlyMap<string, ProxyToken>,
  presented: Credential | undefined,
  endpoint: LockedEndpoint,
  now: number,
): Promise<Verdict> {
  if (presented === undefined) return { kind: "refused", code: "missing_credentials" };
  const known = tokens.get(presented.id);
  const token = known ?? NO_TOKEN;
  // Both are computed for every id, known or not, right or wrong.
  const [digest, ours] = await Promise.all([
    digestOf(presented),
    isOurId(keys, "proxy", endpoint.workspace, presented.id),
  ]);
  const matches = sameDigest(digest, token.digest);
  if (known === undefined && ours) return { kind: "unknown", id: presented.id };
  if (known === undefined || !ours || !matches || isExpired(token, now)) {
    return { kind: "refused", code: "invalid_credentials" };
  }
  return opens(token, endpoint)
    ? { kind: "allowed", id: presented.id }
    : { kind: "refused", code: "forbidden" };
}

function isExpired({ expiresAt }: ProxyToken, now: number): boolean {
  return expiresAt !== undefined && expiresAt <= now;
}

function opens({ environments, apps }: ProxyToken, endpoint: LockedEndpoint): boolean {
  const environment = environments.length === 0 || environments.includes(endpoint.environment);
  return environment && (apps.length === 0 || apps.includes(endpoint.app));
}

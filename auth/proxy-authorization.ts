/**
 * Whether a caller may pass the authorization of a private endpoint. Decides from the proxy tokens that the edge
 * knows of a workspace, and says where they do not suffice. Loads nothing, and gets the time as an argument.
 */
import { isAllowedPath } from "../routing/wire/path-rules.ts";
import type { GatewayKeys } from "./keys.ts";
import { sameText } from "./letters.ts";
import { type Credential, digestOf, isOurId, sameDigest } from "./tokens.ts";

/** The limits of a token's holder, and when its calls are served. */
export interface TokenLimits {
  /** As routing/wire/rate.ts reads it; absent: no rate limit of its own. */
  readonly rateLimit?: string;
  /** Its calls wait for those of other tokens. */
  readonly isBatch?: true;
  /** Requests that it may send in a day (UTC). */
  readonly dailyRequests?: number;
  /** Its calls that each box takes at a time, those that wait included. */
  readonly concurrent?: number;
  /** Seconds of containers that its calls may take in a day (UTC). */
  readonly dailyContainerSeconds?: number;
}

/** By limit: undefined leaves it as it is, null takes it away. */
export type TokenLimitsChange = {
  readonly [Limit in keyof TokenLimits]?: TokenLimits[Limit] | null | undefined;
};

export function changedLimits(limits: TokenLimits, change: TokenLimitsChange): TokenLimits {
  const given = Object.entries(change).filter(([, value]) => value !== undefined);
  const changed = { ...limits, ...Object.fromEntries(given) };
  return Object.fromEntries(Object.entries(changed).filter(([, value]) => value !== null));
}

/** A proxy token as the edge knows it. */
export interface ProxyToken {
  readonly digest: ArrayBuffer;
  /** Milliseconds of the epoch; undefined: it does not expire. */
  readonly expiresAt?: number | undefined;
  /** Empty: every environment of the workspace. */
  readonly environments: readonly string[];
  /** Empty: every app. */
  readonly apps: readonly string[];
  /** Empty: every path (routing/wire/path-rules.ts). */
  readonly paths: readonly string[];
  readonly limits?: TokenLimits;
}

/** The endpoint that the caller asks for, and the path there. */
export interface PrivateEndpoint {
  readonly workspace: string;
  readonly environment: string;
  readonly app: string;
  /** Path and query, raw. */
  readonly target: string;
}

export type ProxyVerdict =
  | { readonly kind: "allowed"; readonly id: string }
  | {
      readonly kind: "refused";
      readonly code: "missing_credentials" | "invalid_credentials" | "forbidden";
    }
  /** The gateway made this id and the snapshot lacks it: it is new, or gone. The caller looks it up. */
  | { readonly kind: "unknown"; readonly id: string };

/** Compared with where the snapshot lacks an id, so that it takes as long as a wrong secret. */
const NO_TOKEN: ProxyToken = { digest: new ArrayBuffer(32), environments: [], apps: [], paths: [] };

/** Credentials that were presented for a token and found to be right, so that they are computed once for each time the token is loaded. */
interface Proof extends Credential {
  readonly keys: GatewayKeys;
  readonly workspace: string;
}

const proofs = new WeakMap<ProxyToken, Proof>();

/**
 * Decides on a caller. Never throws, whatever the caller presents.
 * @param tokens of the snapshot, by id
 * @param now milliseconds of the epoch
 */
export async function authorizeProxy(
  keys: GatewayKeys,
  tokens: ReadonlyMap<string, ProxyToken>,
  presented: Credential | undefined,
  endpoint: PrivateEndpoint,
  now: number,
): Promise<ProxyVerdict> {
  if (presented === undefined) return { kind: "refused", code: "missing_credentials" };
  const known = tokens.get(presented.id);
  const token = known ?? NO_TOKEN;
  const { workspace } = endpoint;
  if (isProven(proofs.get(token), { ...presented, keys, workspace })) {
    return decide(token, presented.id, endpoint, now);
  }
  // Both are computed for each id, known or not, right or wrong, so that the time tells nothing.
  const [digest, ours] = await Promise.all([
    digestOf(presented),
    isOurId(keys, "proxy", workspace, presented.id),
  ]);
  const matches = sameDigest(digest, token.digest);
  if (known === undefined && ours) return { kind: "unknown", id: presented.id };
  if (known === undefined || !ours || !matches) {
    return { kind: "refused", code: "invalid_credentials" };
  }
  proofs.set(known, { id: presented.id, secret: presented.secret, keys, workspace });
  return decide(known, presented.id, endpoint, now);
}

/** Whether just this was found to be right before. A right secret may take less time than a wrong one. */
function isProven(proof: Proof | undefined, presented: Proof): boolean {
  return (
    proof !== undefined &&
    proof.keys === presented.keys &&
    proof.workspace === presented.workspace &&
    sameText(presented.id, proof.id) &&
    sameText(presented.secret, proof.secret)
  );
}

/** Decides by what a token allows, whose id and secret are right. */
function decide(
  token: ProxyToken,
  id: string,
  endpoint: PrivateEndpoint,
  now: number,
): ProxyVerdict {
  if (isExpired(token, now)) return { kind: "refused", code: "invalid_credentials" };
  return opens(token, endpoint) ? { kind: "allowed", id } : { kind: "refused", code: "forbidden" };
}

function isExpired({ expiresAt }: ProxyToken, now: number): boolean {
  return expiresAt !== undefined && expiresAt <= now;
}

function opens({ environments, apps, paths }: ProxyToken, endpoint: PrivateEndpoint): boolean {
  if (environments.length > 0 && !environments.includes(endpoint.environment)) return false;
  if (apps.length > 0 && !apps.includes(endpoint.app)) return false;
  return paths.length === 0 || isAllowedPath(paths, endpoint.target);
}

/**
 * Which gateway a command talks to, and the token that it shows there. In this order: the variables
 * POSTERN_URL, POSTERN_TOKEN_ID and POSTERN_TOKEN_SECRET; the state directory that --state names; the
 * person's active profile; the gateway that runs on `./.postern`. A token is never sent to another
 * gateway than the one that it is kept for.
 */

import { resolve } from "node:path";
import { CommandFailure, UsageError } from "./failure.ts";
import { DEFAULT_STATE } from "./gateway/settings.ts";
import { readRunning, type RunningInfo } from "./gateway/state-directory.ts";
import { Profiles, type Profile } from "./profiles.ts";

type Environment = Readonly<Record<string, string | undefined>>;

export interface Access {
  /** The gateway's base URL, without a slash at the end. */
  readonly url: string;
  /** Where to connect instead of the URL's host, for a gateway on this machine. */
  readonly connectTo?: string;
  /** That gateway's state directory. */
  readonly state?: string;
  readonly tokenId: string;
  readonly tokenSecret: string;
  /** Where the token was found, for messages. */
  readonly source: string;
}

/** The flag of every command that talks to a gateway. */
export const STATE_OPTION = {
  state: {
    type: "string",
    value: "DIRECTORY",
    summary: "the state directory of a gateway on this machine",
  },
} as const;

export const ACCESS_NOTE =
  "The gateway is POSTERN_URL with POSTERN_TOKEN_ID and POSTERN_TOKEN_SECRET, the one of --state, " +
  `the active profile's, or the one that runs on ${DEFAULT_STATE}.`;

/** Finds gateway and token; a CommandFailure when something is missing, and says what. */
export function findAccess(state: string | undefined, environment: Environment): Access {
  const url = gatewayUrl(environment);
  const token = tokenOf(environment);
  if (url !== undefined && token !== undefined) return { url, ...token };
  if (state !== undefined) {
    const own = accessOfState(resolve(state), token);
    if (url === undefined || url === own.url) return own;
    throw new UsageError(
      `POSTERN_URL is ${url}, and the gateway of --state is ${own.url}: unset POSTERN_URL, leave out ` +
        "--state, or set POSTERN_TOKEN_ID and POSTERN_TOKEN_SECRET for POSTERN_URL",
    );
  }
  const profiles = Profiles.ofUser(environment);
  const name = profiles.activeName(environment);
  const profile = name === undefined ? undefined : profiles.get(name);
  if (name !== undefined && profile !== undefined) {
    const kept = accessOfProfile(profile, `profile "${name}" of ${profiles.path}`);
    if (url === undefined || url === kept.url) return { ...kept, ...token };
  }
  if (url !== undefined && url !== readRunning(resolve(DEFAULT_STATE))?.url) {
    throw new CommandFailure(
      `no token for ${url}: set POSTERN_TOKEN_ID and POSTERN_TOKEN_SECRET, or run postern token set`,
    );
  }
  return accessOfState(resolve(DEFAULT_STATE), token);
}

/** `POSTERN_URL`, where it is set. */
export function gatewayUrl(environment: Environment): string | undefined {
  const text = environment["POSTERN_URL"];
  return text ? originOf(text, "POSTERN_URL") : undefined;
}

/** An http or https URL's origin; a UsageError names where a wrong one came from. */
export function originOf(text: string, from: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !["http:", "https:"].includes(url.protocol)) {
    throw new UsageError(`${from}: "${text}" is not an http or https URL`);
  }
  return url.origin;
}

type Token = Pick<Access, "tokenId" | "tokenSecret" | "source">;

function tokenOf(environment: Environment): Token | undefined {
  const { POSTERN_TOKEN_ID: tokenId, POSTERN_TOKEN_SECRET: tokenSecret } = environment;
  if (!tokenId && !tokenSecret) return undefined;
  if (!tokenId) throw new UsageError("POSTERN_TOKEN_SECRET is set and POSTERN_TOKEN_ID is not");
  if (!tokenSecret) throw new UsageError("POSTERN_TOKEN_ID is set and POSTERN_TOKEN_SECRET is not");
  return { tokenId, tokenSecret, source: "POSTERN_TOKEN_ID" };
}

function accessOfProfile(
  profile: Profile,
  source: string,
  remedy = "; run postern token set",
): Access {
  const { url, token_id: tokenId, token_secret: tokenSecret } = profile;
  if (url === undefined || tokenId === undefined || tokenSecret === undefined) {
    throw new CommandFailure(`${source} lacks url, token_id or token_secret${remedy}`);
  }
  return { url: originOf(url, source), tokenId, tokenSecret, source };
}

/** The gateway that runs on a state directory, with the token that it keeps there. */
export function ownAccess(state: string): Access {
  return accessOfState(resolve(state), undefined);
}

/** The gateway that runs on a state directory, with its own token unless another one is given. */
function accessOfState(state: string, token: Token | undefined): Access {
  const running = readRunning(state);
  if (running === undefined) {
    throw new CommandFailure(
      `no gateway runs on ${state}; start one with postern gateway, name its directory with --state, ` +
        "or run postern token set",
    );
  }
  const place = { url: running.url, connectTo: pastTheFront(running), state };
  if (token !== undefined) return { ...place, ...token };
  return { ...accessOfOwnProfile(state), ...place };
}

function accessOfOwnProfile(state: string): Access {
  try {
    const profiles = Profiles.ofGateway(state);
    const name = profiles.activeName({});
    const profile = name === undefined ? undefined : profiles.get(name);
    if (profile === undefined) throw new CommandFailure(`${profiles.path} has no token`);
    return accessOfProfile(profile, profiles.path, "");
  } catch (error) {
    if (!(error instanceof CommandFailure)) throw error;
    throw new CommandFailure(`${error.message}; start the gateway again: it writes this file anew`);
  }
}

/**
 * Where an agent connects to the gateway of `access`, asked at each dial: past the front of one on this machine,
 * whose next start may have another port there. Undefined: at its URL.
 */
export function agentConnectTo({ connectTo, state }: Access): (() => string) | undefined {
  if (connectTo === undefined || state === undefined) return undefined;
  let last = connectTo;
  return () => {
    const running = readRunning(state);
    if (running !== undefined) last = pastTheFront(running);
    return last;
  };
}

function pastTheFront({ workerdPort }: Pick<RunningInfo, "workerdPort">): string {
  return `127.0.0.1:${workerdPort}`;
}

/** Answers gateways that look for the box of a session, or are about to choose one. */
import { SessionClaims } from "../core/session-claims.ts";
import { type OperationHandlers, reply } from "../link/operation-server.ts";
import type { AppRuntimes } from "./app-runtimes.ts";

export function sessionOperations(
  apps: Pick<AppRuntimes, "find">,
  ownBox: string,
): OperationHandlers<"findSession" | "claimSession"> {
  const claims = new SessionClaims();
  const isHere = (endpoint: string, keys: readonly string[]): boolean =>
    apps.find(endpoint)?.knowsSession(keys) === true;
  return {
    findSession: ({ endpoint, keys }, { stream }) =>
      reply(stream, "findSession", { found: isHere(endpoint, keys) }),
    claimSession: ({ endpoint, keys, box }, { stream }) => {
      const first = isHere(endpoint, keys)
        ? ownBox
        : claims.claim(endpoint, keys, box, performance.now());
      return reply(stream, "claimSession", { box: first });
    },
  };
}

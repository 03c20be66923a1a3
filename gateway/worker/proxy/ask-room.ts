/**
 * Asks a box whether it has room, before a request is given away whose body streams: no other box could have that body
 * afterwards.
 */
import { ProtocolError } from "../../../routing/wire/frames.ts";
import {
  AGENT_OPERATIONS,
  operationHead,
  parseOperationValue,
} from "../../../routing/wire/agent-operations.ts";
import type { PoolLoad } from "../../../routing/wire/pool-load.ts";
import { askToOpen } from "../../contracts/ask-link.ts";
import { asciiJson, type Attempt, failedAttempt } from "../../contracts/attempt.ts";
import type { Env } from "../../contracts/env.ts";
import { HEAD, OTHERS, PATIENCE, VERB, WAIT } from "../../contracts/link.ts";
import type { Candidate } from "./candidates.ts";

/**
 * The attempt that the call would have failed with on this link; undefined where the box takes it.
 * @param target of the request: the box may have room for some parameters and none for others
 */
export async function askRoom(
  env: Env,
  { place, link, wait, mayRefuse = false }: Candidate,
  target: string,
): Promise<Attempt | undefined> {
  const head = operationHead("poolLoad", { endpoint: place.share ?? "", target, mayRefuse });
  const attempt = await askToOpen(env, place, link, VERB.open, {
    method: "POST",
    headers: {
      [HEAD]: asciiJson(JSON.stringify(head)),
      [PATIENCE]: `${AGENT_OPERATIONS.poolLoad.timeoutMs}`,
      ...(wait !== undefined && { [WAIT]: wait }),
      ...(mayRefuse && { [OTHERS]: "1" }),
    },
  });
  if (attempt.kind === "failed") {
    // An older agent takes the call as it comes.
    if (attempt.failure.code === "not_supported") return undefined;
    // Nothing of the call was sent.
    return attempt.cause === "link_lost" ? { ...attempt, cause: "link_away" } : attempt;
  }
  const load = attempt.kind === "response" ? await loadIn(attempt.body) : undefined;
  if (load === undefined) return failedAttempt("refused", NO_ANSWER);
  if (!mayRefuse || load.room > 0) return undefined;
  const detail = "no container of the box has room";
  return failedAttempt("refused", { code: "queue_full", detail, load });
}

const NO_ANSWER = { code: "unavailable", detail: "the box did not answer as it should" } as const;

async function loadIn(body: BodyInit | null): Promise<PoolLoad | undefined> {
  try {
    return parseOperationValue("poolLoad", await new Response(body).text());
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    return undefined;
  }
}

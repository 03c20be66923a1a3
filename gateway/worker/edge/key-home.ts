/**
 * The box of a call under an Idempotency-Key. Each key has one home among an endpoint's boxes. After a change of the
 * boxes a key may have another home than before, while its former home still holds its call. Each former home is
 * asked first: one that knows the key keeps it, and one that does not releases it (routing/wire/agent-operations.ts). A
 * former home that gives no answer may hold the call, so that no other box may run it. Decision 011 has the reasons.
 */
import { err, ok, type Result } from "../../../base/result.ts";
import { formerHomes, homeBox } from "../../../routing/boxes.ts";
import type { Failure } from "../../../routing/wire/messages.ts";
import type { Env } from "../../contracts/env.ts";
import type { BoxPlace, Snapshot } from "../../contracts/names.ts";
import { askAgent } from "../proxy/agent-client.ts";

/** The box of a call under a key. */
export interface KeyHome {
  /** One, or none where the endpoint has none. */
  readonly boxes: BoxPlace[];
  /** The box knows a call under the key, which this one is to join. */
  readonly joins: boolean;
}

/** Finds the box of a call under a key. */
export async function homeOfKey(
  env: Env,
  { workspace, boxes, formerBoxes = [] }: Snapshot,
  key: string,
): Promise<Result<KeyHome, Failure>> {
  const home = homeBox(key, boxes);
  const present = { boxes: home === undefined ? [] : [home], joins: false };
  const former = formerHomes(key, boxes, formerBoxes, Date.now());
  if (former.length === 0) return ok(present);
  const answers = await Promise.all(
    former.map(async (name) => {
      // A box that does not serve the endpoint any more has its link 0 at least.
      const box = boxes.find((place) => place.box === name) ?? { box: name, links: 1 };
      return { box, answer: await askAgent(env, { workspace, box }, "releaseKey", { key }) };
    }),
  );
  const holder = answers.find(({ answer }) => answer.ok && !answer.value.released);
  if (holder !== undefined) return ok({ boxes: [holder.box], joins: true });
  return answers.every(({ answer }) => answer.ok) ? ok(present) : err(FORMER_HOME_SILENT);
}

const FORMER_HOME_SILENT: Failure = {
  code: "no_origin",
  detail: "a box that may have run a call under this key is not connected",
  retryAfter: 1,
};

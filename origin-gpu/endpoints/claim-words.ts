/** Puts the needs of a container, and why it gives them up or ends, into words for the operator. */
import { GIB } from "../../base/units.ts";
import { StartFailure } from "../containers/container.ts";
import type { CardChoice, LostCard } from "../core/cards.ts";
import type { ClaimNeeds, YieldReason } from "../core/claims.ts";
import type { StopReason } from "../core/pool-effects.ts";

/** The failure of a container whose needs no cards of the box could satisfy, also if all of them worked. */
export function impossibleClaim(needs: ClaimNeeds): StartFailure {
  const message = `it can't start here: it needs ${describeNeeds(needs)}, which this box does not have`;
  return new StartFailure("starting_failed", message, [], { permanent: true });
}

/** The failure of a container whose card is out: one of these. Another start succeeds when that works again. */
export function cardOut(lost: readonly LostCard[]): StartFailure {
  const words = lost.map(({ id, name, problem }) => {
    return `its card ${id} (${name}) was taken out: ${problem}`;
  });
  return new StartFailure("starting_failed", `it can't start for now: ${words.join("; ")}`);
}

function describeNeeds({ gpus = [], gpuMemoryBytes, port }: ClaimNeeds): string {
  const words: string[] = [];
  if (gpuMemoryBytes !== undefined) {
    words.push(`${(gpuMemoryBytes / GIB).toFixed(1)} GiB of one GPU`);
  } else if (gpus.length > 0) {
    words.push(gpus.map(describeGpus).join(" or "));
  }
  if (port !== undefined) words.push(`port ${port}`);
  return words.join(" and ");
}

function describeGpus({ kind, count }: CardChoice): string {
  if (kind !== undefined) return `${count} × ${kind}`;
  return count === 1 ? "a GPU" : `${count} GPUs`;
}

const MAKES_ROOM = "it finishes its calls and makes room";

export const YIELD_WORDS: Readonly<Record<YieldReason, string>> = {
  wanted: `${MAKES_ROOM}: another container waits for its GPU or its port`,
  replaced: `${MAKES_ROOM}: a new version takes its place`,
  card_lost: `${MAKES_ROOM}: its GPU was taken out`,
  memory_short: "it has slept longest of all and ends: the machine's memory is short",
};

export const ROOM_AWAITED =
  'it waits for room beside the version that serves, which makes none: rollout = "overlap"';

export const STOP_WORDS: Readonly<Record<StopReason, string>> = {
  not_needed: "it is not needed any more",
  failed: "it failed to start",
  unhealthy: "it does not answer any more",
  yields: "it makes room for another one",
  asked: "it was asked to end",
  retired: "its version has ended",
};

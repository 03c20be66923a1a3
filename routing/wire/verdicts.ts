/**
 * Why a gateway refuses a box, as a verdict in a header of the refusal. By the header an agent tells the gateway's
 * own refusal from the status of a proxy on the way, which may have lost the gateway for a moment.
 */

/** On a refusal of the agent API. */
export const VERDICT_HEADER = "postern-verdict";

/**
 * `final`: an operator has to act. `held`: another agent has the box's name; it may be one that died and was not
 * missed yet. `passing`: it ends by itself, for instance when a clock is set.
 */
const VERDICTS = {
  no_credential: "final",
  enrolled_elsewhere: "final",
  wrong_key: "final",
  revoked: "final",
  malformed: "final",
  held: "held",
  wrong_clock: "passing",
} as const;

export type Verdict = keyof typeof VERDICTS;

export type VerdictKind = (typeof VERDICTS)[Verdict];

/** The meaning of a refusal; `passing` where it has no verdict, or one of a newer gateway. */
export function verdictKind(verdict: string | undefined): VerdictKind {
  if (verdict === undefined || !Object.hasOwn(VERDICTS, verdict)) return "passing";
  return VERDICTS[verdict as Verdict];
}

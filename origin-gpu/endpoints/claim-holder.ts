/** The box that containers claim things of, as their pool hears it. */
import type { Card } from "../core/cards.ts";
import type { Claim, YieldReason } from "../core/claims.ts";

export interface ClaimHolder {
  onGranted(container: number, cards: readonly Card[]): void;
  /** @param wantedBy the claim that gets its room, where it is wanted */
  onYieldAsked(container: number, reason: YieldReason, wantedBy?: Claim): void;
  /** The box has no such cards. */
  onImpossible(container: number): void;
  /** The next agent takes over what it has. */
  onHandOver(): void;
}

/** The box that containers claim things of, as their pool hears it. */
import type { Card, LostCard } from "../core/cards.ts";
import type { BoxEffect } from "../core/claims.ts";

type AskedYield = Omit<Extract<BoxEffect, { type: "yield" }>, "type" | "claim">;

export interface ClaimHolder {
  onGranted(container: number, cards: readonly Card[]): void;
  onYieldAsked(container: number, asked: AskedYield): void;
  /** The new version's container waits for room beside the version that serves. */
  onRoomAwaited(container: number): void;
  /** The container waits for one of these to come back. */
  onCardOut(container: number, lost: readonly LostCard[]): void;
  /** The box has no such cards. */
  onImpossible(container: number): void;
  /** The next agent takes over what it has. */
  onHandOver(): void;
}

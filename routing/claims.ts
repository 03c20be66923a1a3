/**
 * Who may take a host name. A deployed app, or one that a box serves in place, never loses its name to
 * another app; an ephemeral one (`postern serve`) gives way to whichever of its kind began later, and to
 * apps that are there to stay, within its workspace. Decides only: who holds a name is for `Names` to know.
 */

/** How an app came to be: by `postern deploy`, by `postern up`, by `postern serve`. */
export const APP_KINDS = ["deployed", "in_place", "ephemeral"] as const;

export type AppKind = (typeof APP_KINDS)[number];

/** An app that wants a name, or has one. */
export interface Claimant {
  /** The app's id. */
  readonly owner: string;
  readonly workspace: string;
  readonly kind: AppKind;
  /** When the app began, in milliseconds of the epoch: of two ephemeral apps the later one wins. */
  readonly startedAt: number;
}

/** Whether a claimant gets a name that another app, or it itself, holds. */
export function mayTake(holder: Claimant, claimant: Claimant): boolean {
  if (holder.owner === claimant.owner) return true;
  if (holder.kind !== "ephemeral" || holder.workspace !== claimant.workspace) return false;
  return claimant.kind !== "ephemeral" || claimant.startedAt > holder.startedAt;
}

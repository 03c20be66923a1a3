/**
 * Which app may take a host name. A deployed app, or one that a box serves in place, never loses its name to
 * another app. An ephemeral one (`postern serve`) gives way within its workspace: to an ephemeral app that began
 * later, and to every other kind. Decides only; `Names` knows which app holds a name.
 */

/** How an app came to be: by `postern deploy`, `postern up` or `postern serve`. */
export const APP_KINDS = ["deployed", "in_place", "ephemeral"] as const;

export type AppKind = (typeof APP_KINDS)[number];

/** An app that wants a name, or has one. */
export interface Claimant {
  /** The app's id. */
  readonly owner: string;
  readonly workspace: string;
  readonly kind: AppKind;
  /** When the app began, in milliseconds of the epoch. */
  readonly startedAt: number;
}

/** Whether a claimant gets a name that an app holds, perhaps the claimant itself. */
export function mayTake(holder: Claimant, claimant: Claimant): boolean {
  if (holder.owner === claimant.owner) return true;
  if (holder.kind !== "ephemeral" || holder.workspace !== claimant.workspace) return false;
  return claimant.kind !== "ephemeral" || claimant.startedAt > holder.startedAt;
}

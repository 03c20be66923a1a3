/** Where a version of an app stands. The transitions are in objects/workspace/version-states.ts. */

/**
 * `staged`: numbered, its names reserved. `candidate`: its boxes make it ready. `serving`: takes requests.
 * Then it has ended: `failed`, `superseded` by a newer one before it served, `replaced` after it did, or
 * `stopped` with its app.
 */
export const VERSION_STATUSES = [
  "staged",
  "candidate",
  "serving",
  "failed",
  "superseded",
  "replaced",
  "stopped",
] as const;

export type VersionStatus = (typeof VERSION_STATUSES)[number];

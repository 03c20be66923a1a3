/** The states of an app. */

/**
 * `starting`: its first version does not serve yet. `failed`: none ever did. `in_place` and `ephemeral`:
 * a box serves it without a deployment.
 */
export const APP_STATES = [
  "deployed",
  "starting",
  "failed",
  "stopped",
  "in_place",
  "ephemeral",
] as const;

export type AppState = (typeof APP_STATES)[number];

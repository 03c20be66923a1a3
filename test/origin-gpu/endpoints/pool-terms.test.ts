/** The settings of a pool under the terms of its share. */
import { expect, test } from "vitest";
import { NO_TERMS, settingsUnder } from "../../../origin-gpu/endpoints/pool-terms.ts";
import { SETTINGS } from "../core/pool-world.ts";

test("calls for a first container wait for the box's share, whatever max_pending says", () => {
  const own = { ...SETTINGS, maxInputs: 4, maxPending: 0 };
  // Refused at once, they would never be the reason to ask for one.
  expect(settingsUnder(NO_TERMS, own)).toMatchObject({ maxContainers: 0, maxPending: 4 });
  const granted = { ...NO_TERMS, most: 1, mayStart: true };
  expect(settingsUnder(granted, own)).toMatchObject({ maxContainers: 1, maxPending: 0 });
  expect(settingsUnder(NO_TERMS, SETTINGS)).toMatchObject({ maxPending: SETTINGS.maxPending });
});

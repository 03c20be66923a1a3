import { expect, test } from "vitest";
import { SILENT } from "../../../base/observer.ts";
import { frameTap } from "../../../routing/wire/frame-tap.ts";

test("a link has no tap where the topic is off", () => {
  expect(frameTap(SILENT, { link: 0 })).toBeUndefined();
});

import { expect, test } from "vitest";
import { SILENT } from "../../../base/observer.ts";
import { FRAME_HEADER_BYTES, frameName } from "../../../routing/wire/frames.ts";
import { Multiplexer, NO_EVENTS } from "../../../routing/wire/multiplexer.ts";
import { frameTap } from "../../../routing/wire/frame-tap.ts";

test("the tap sees a frame that is sent in place, behind those that waited", () => {
  const seen: string[] = [];
  const streams: Multiplexer = new Multiplexer({
    role: "gateway",
    onPending: () => undefined,
    onMessage: () => streams.takeFrames(),
    onControl: () => undefined,
    onFrame: (direction, { type }, bytes) => seen.push(`${direction} ${frameName(type)} ${bytes}`),
  });
  const stream = streams.open("{}", new Uint8Array(0), false, NO_EVENTS);
  stream?.sendInPlace(new Uint8Array(FRAME_HEADER_BYTES + 5));
  expect(seen).toEqual(["out OPEN 14", "out DATA 5"]);
});

test("a link has no tap where the topic is off", () => {
  expect(frameTap(SILENT, { link: 0 })).toBeUndefined();
});

/** Watches the frames of a link, for both ends: each becomes a `link.frame`. */
import type { ObservedLink } from "../../base/events.ts";
import type { Observer } from "../../base/observer.ts";
import { frameName } from "./frames.ts";
import type { FrameTap } from "./multiplexer.ts";

/** The tap of a link; undefined where the topic `link` is off, so that no frame pays for it. */
export function frameTap(observer: Observer, tapped: Readonly<ObservedLink>): FrameTap | undefined {
  if (!observer.debug.link) return undefined;
  const { workspace, box, link } = tapped;
  return (direction, { type, stream }, bytes) => {
    const frame = { direction, type: frameName(type), stream, bytes };
    observer.emit("link.frame", { workspace, box, link, ...frame });
  };
}

/** Watches the frames of a link, for both ends: each becomes a `link.frame`. */
import type { Observer } from "../../base/observer.ts";
import { frameName } from "./frames.ts";
import type { FrameTap } from "./multiplexer.ts";

/** Which link the frames are of. Workspace and box are there at the gateway, which has the links of many. */
export interface TappedLink {
  readonly link: number;
  readonly workspace?: string;
  readonly box?: string;
}

/** The tap of a link; undefined where the topic `link` is off, so that no frame pays for it. */
export function frameTap(observer: Observer, tapped: TappedLink): FrameTap | undefined {
  if (!observer.debug.link) return undefined;
  const { workspace, box, link } = tapped;
  return (direction, { type, stream }, bytes) => {
    const frame = { direction, type: frameName(type), stream, bytes };
    observer.emit("link.frame", { workspace, box, link, ...frame });
  };
}

/** Owners of streams that note what they hear, and single frames. */
import { frame, type FrameType, packFrames } from "../../../routing/wire/frames.ts";
import type { Stream, StreamEvents } from "../../../routing/wire/multiplexer.ts";
import { LinkPair } from "./link-pair.ts";

const NO_BODY = new Uint8Array(0);

/** Notes what a stream's owner hears. */
export class Ear implements StreamEvents {
  readonly heard: string[] = [];
  bytes = 0;
  onHead(head: string, body: Uint8Array, end: boolean): void {
    this.heard.push(`head ${head} ${body.length}${end ? " end" : ""}`);
  }
  onData(bytes: Uint8Array, end: boolean): void {
    this.bytes += bytes.length;
    this.heard.push(`data ${bytes.length}${end ? " end" : ""}`);
  }
  onWindow(): void {
    this.heard.push("window");
  }
  onPark(): void {
    this.heard.push("park");
  }
  onDefer(): void {
    this.heard.push("defer");
  }
  onEnd(ending: { kind: string }): void {
    this.heard.push(ending.kind);
  }
}

export interface Accepted {
  stream: Stream;
  head: string;
  ear: Ear;
}

/** A pair whose agent accepts everything and leaves it alone. */
export function pair(firstStream = 1): { link: LinkPair; accepted: Accepted[] } {
  const accepted: Accepted[] = [];
  const take = (stream: Stream, head: string): Ear => {
    const ear = new Ear();
    accepted.push({ stream, head, ear });
    return ear;
  };
  const link = new LinkPair(
    {
      onOpen: (stream, head, body, end) => {
        const ear = take(stream, head);
        ear.heard.push(`open ${body.length}${end ? " end" : ""}`);
        return ear;
      },
      onAttach: take,
    },
    firstStream,
  );
  return { link, accepted };
}

/** A message of one frame. */
export function message(
  type: FrameType,
  stream: number,
  payload: Uint8Array = NO_BODY,
  end = false,
): Uint8Array {
  return Buffer.concat(packFrames([frame(type, stream, [payload], end)]));
}

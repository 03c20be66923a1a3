/**
 * Bounds notices that repeat: a full disk has the same words for each call that it refuses. Of equal notices within
 * a window the first few pass; the window's end, at the next notice, tells how many more there were.
 */
import type { ObservedEvent, Sink } from "./observer.ts";
import { SECOND_MS } from "./units.ts";

const WINDOW_MS = 10 * SECOND_MS;
const MAX_EQUAL_NOTICES = 5;

/** Different notices that are counted at a time; more than these begin a new window. */
const MAX_COUNTED_NOTICES = 100;

export function boundedNotices(sink: Sink): Sink {
  const counts = new Map<string, number>();
  let windowEndMs = 0;

  const endWindow = (event: ObservedEvent): void => {
    for (const [text, count] of counts) {
      const more = count - MAX_EQUAL_NOTICES;
      if (more > 0) sink({ ...event, fields: { text: `${text} (${more} more times)` } });
    }
    counts.clear();
    windowEndMs = event.atMs + WINDOW_MS;
  };

  return (event) => {
    if (event.name !== "notice") return sink(event);
    if (event.atMs >= windowEndMs || counts.size >= MAX_COUNTED_NOTICES) endWindow(event);
    const text = String(event.fields["text"]);
    const count = (counts.get(text) ?? 0) + 1;
    counts.set(text, count);
    if (count <= MAX_EQUAL_NOTICES) sink(event);
  };
}

/**
 * Counts events for monitoring, and writes the counts in Prometheus' text format. An event's counter is named by the
 * event, with the labels of its row in base/events.ts: `postern_link_state_total{to="connected"} 2`. Details of
 * `POSTERN_DEBUG` are not counted: they exist only where their topic is on.
 */
import { EVENTS, type EventKind, type EventName } from "./events.ts";
import type { ObservedEvent, Sink } from "./observer.ts";

export class Counters {
  /** By event, then by labels as they are written. */
  readonly #counts = new Map<EventName, Map<string, number>>();

  readonly sink: Sink = ({ name, fields }) => {
    const { level, labels }: EventKind<unknown> = EVENTS[name];
    if (level === "debug") return;
    const key = labels.map((label) => labelled(label, fields[label])).join(",");
    let counts = this.#counts.get(name);
    if (counts === undefined) this.#counts.set(name, (counts = new Map()));
    counts.set(key, (counts.get(key) ?? 0) + 1);
  };

  /** https://prometheus.io/docs/instrumenting/exposition_formats/ */
  text(): string {
    const lines: string[] = [];
    for (const [name, counts] of this.#counts) {
      const metric = `postern_${name.replaceAll(".", "_")}_total`;
      lines.push(`# HELP ${metric} Events ${name} since this process began.`);
      lines.push(`# TYPE ${metric} counter`);
      for (const [labels, count] of counts) {
        lines.push(`${metric}${labels === "" ? "" : `{${labels}}`} ${count}`);
      }
    }
    return lines.map((line) => `${line}\n`).join("");
  }
}

function labelled(label: string, value: ObservedEvent["fields"][string]): string {
  const escaped = String(value ?? "").replace(/["\\\n]/g, (character) =>
    character === "\n" ? "\\n" : `\\${character}`,
  );
  return `${label}="${escaped}"`;
}

/**
 * All events that Postern tells of, by name, with their fields and when they are written
 * (docs/observability.md). To add one, add a row: `observer.emit` then takes its name and asks for its fields.
 *
 * A name is `<thing>.<what>`, in the singular; a change of state is `<thing>.state`. Fields are in camelCase
 * here and in snake_case as JSON, with the unit in the name. A field never holds a secret, a body or a
 * header's value, but for `host` and `traceparent`.
 */

/** Part of the program whose details `POSTERN_DEBUG` turns on. */
export const TOPICS = ["calls", "link", "containers", "versions", "gateway"] as const;
export type Topic = (typeof TOPICS)[number];

/**
 * - `line`: always written.
 * - `state`: written as JSON always, as text where its topic is on: a notice tells people the same in words.
 * - `debug`: written where its topic is on. The place that emits it reads `observer.debug.<topic>` first, so
 *   that nothing is allocated otherwise.
 */
export type Level = "line" | "state" | "debug";

export interface EventKind<Fields> {
  readonly level: Level;
  readonly topic?: Topic;
  /** The fields that tell its counters apart (counters.ts). Each has few values, none of them a client's choice. */
  readonly labels: readonly string[];
  /** Never there: holds the fields' type. */
  readonly fields?: Fields;
}

/** Each change of state says from where, to where and why. */
export interface StateChange {
  from: string;
  to: string;
  reason: string;
}

/** Events of a link come from both of its ends. Workspace and box are there at the gateway, which has many. */
export interface ObservedLink {
  workspace?: string | undefined;
  box?: string | undefined;
  link: number;
}

export const EVENTS = {
  /** A line for the operator, in words. */
  notice: event<{ text: string }>("line"),
  /** Lines that were not written because their reader is slower than what is to be written. */
  "log.dropped": event<{ lines: number }>("line"),

  /** A line that an app printed. `source` is its function, with app and version where there may be several. */
  "container.output": event<{ source: string; line: string }>("line", "containers", "source"),
  "container.state": event<StateChange & { source: string; container: string }>(
    "state",
    "containers",
    "source",
    "to",
  ),

  /** A card of the box is taken out, since it fails, or is used again. */
  "gpu.state": event<StateChange & { gpu: string }>("state", "containers", "to"),

  "version.state": event<StateChange & { app: string; version: number }>(
    "state",
    "versions",
    "app",
    "to",
  ),

  /** A file of an app that `serve` watches, which begins a new version. */
  "file.changed": event<{ path: string }>("debug", "versions"),

  "link.state": event<StateChange & ObservedLink>("state", "link", "to"),
  "link.frame": event<
    ObservedLink & {
      direction: "in" | "out";
      type: string;
      stream: number;
      bytes: number;
    }
  >("debug", "link"),

  "call.state": event<
    StateChange & { callId: string; endpoint?: string; traceparent?: string | undefined }
  >("debug", "calls"),

  /** The process that runs the Worker. */
  "gateway.state": event<StateChange>("state", "gateway", "to"),
  /** One request, when its response headers leave or its client does: the access log. */
  "gateway.request": event<{
    method: string;
    host: string | null;
    path: string;
    status: number;
    code?: string | undefined;
    durationMs: number;
    requestId: string;
    callId?: string | undefined;
    traceparent?: string | undefined;
  }>("state", "gateway", "status", "code"),
};

export type EventName = keyof typeof EVENTS;

export type FieldsOf<Name extends EventName> =
  (typeof EVENTS)[Name] extends EventKind<infer Fields> ? Fields : never;

function event<Fields>(
  level: Level,
  topic?: Topic,
  ...labels: readonly string[]
): EventKind<Fields> {
  return topic === undefined ? { level, labels } : { level, topic, labels };
}

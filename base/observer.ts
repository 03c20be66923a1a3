/**
 * The one way in which Postern tells what happens. A place in the code emits a named event with typed fields
 * (base/events.ts); the observer adds the time and hands the event to its sinks: text for people, JSON for machines,
 * counters for monitoring (base/counters.ts).
 *
 *     observer.notice("postern: ready after 1.2 s");
 *     observer.emit("container.state", { from: "starting", to: "ready", reason: "healthy", source, container });
 *     if (observer.debug.link) observer.emit("link.frame", { link, direction: "in", type, stream, bytes });
 *
 * Rules:
 * - Ask `observer.debug.<topic>`, a boolean field, before the fields of a `debug` event are built.
 * - Events are for operators. Clients learn all that they need from their responses.
 *
 * Pure: the time and the writing come as arguments.
 */
import { nearest } from "./edit-distance.ts";
import {
  EVENTS,
  type EventKind,
  type EventName,
  type FieldsOf,
  type Topic,
  TOPICS,
} from "./events.ts";
import { err, ok, type Result } from "./result.ts";

type FieldValue = string | number | boolean | null | undefined;

/** An event as sinks get it. */
export interface ObservedEvent {
  readonly name: EventName;
  readonly atMs: number;
  readonly fields: Readonly<Record<string, FieldValue>>;
  /** Its topic is on. */
  readonly isDebugged: boolean;
}

export type Sink = (event: ObservedEvent) => void;

export type DebugTopics = Readonly<Record<Topic, boolean>>;

export interface ObserverOptions {
  readonly sinks: readonly Sink[];
  readonly now: () => number;
  readonly debug?: DebugTopics;
}

export const NO_TOPICS: DebugTopics = topics(() => false);

export class Observer {
  /** Whether a topic's details are wanted. */
  readonly debug: DebugTopics;
  readonly #options: ObserverOptions;

  constructor(options: ObserverOptions) {
    this.#options = options;
    this.debug = options.debug ?? NO_TOPICS;
  }

  emit<Name extends EventName>(name: Name, fields: FieldsOf<Name>): void {
    const { level, topic } = EVENTS[name];
    const isDebugged = topic !== undefined && this.debug[topic];
    if (level === "debug" && !isDebugged) return;
    const { sinks, now } = this.#options;
    const event = { name, atMs: now(), fields: fields as ObservedEvent["fields"], isDebugged };
    for (const sink of sinks) sink(event);
  }

  /** A line for the operator. A function of its own, so that it can be passed on as one. */
  readonly notice = (text: string): void => this.emit("notice", { text });
}

/** Where nobody listens. */
export const SILENT = new Observer({ sinks: [], now: () => 0 });

/** One line for people. @param stamp what stands before it, e.g. the time */
export function textSink(write: (line: string) => void, stamp: (atMs: number) => string): Sink {
  return (event) => {
    const { name, atMs, isDebugged } = event;
    if (EVENTS[name].level !== "line" && !isDebugged) return;
    const text = eventText(event);
    // An app may print a million lines: nearly all texts are one line.
    if (!text.includes("\n")) write(stamp(atMs) + text);
    else for (const line of text.split("\n")) write(stamp(atMs) + line);
  };
}

/** One line of JSON: the time, the event's name, its fields in snake_case. */
export function jsonSink(write: (line: string) => void): Sink {
  return ({ name, atMs, fields }) => {
    const line: Record<string, FieldValue> = { time: new Date(atMs).toISOString(), event: name };
    for (const [field, value] of Object.entries(fields)) line[snakeCase(field)] = value;
    write(JSON.stringify(line));
  };
}

/** The event of a line that `jsonSink` wrote, its fields in snake_case; undefined: the line is none. */
export function parseJsonLine(line: string, debug: DebugTopics): ObservedEvent | undefined {
  if (!line.startsWith("{")) return undefined;
  let parsed: Record<string, FieldValue>;
  try {
    parsed = JSON.parse(line) as Record<string, FieldValue>;
  } catch {
    return undefined;
  }
  const { time, event: name, ...fields } = parsed;
  if (typeof name !== "string" || !Object.hasOwn(EVENTS, name)) return undefined;
  const { topic }: EventKind<unknown> = EVENTS[name as EventName];
  const isDebugged = topic !== undefined && debug[topic];
  return { name: name as EventName, atMs: Date.parse(String(time)), fields, isDebugged };
}

/** Reads POSTERN_DEBUG: topics with commas between them, or `all`; the error names the topic that is none. */
export function parseTopics(text: string): Result<DebugTopics, string> {
  const wanted = new Set(text.split(/[\s,]+/).filter((topic) => topic !== ""));
  for (const topic of wanted) {
    if (topic === "all" || TOPICS.some((known) => known === topic)) continue;
    const meant = nearest(topic, TOPICS);
    const hint = meant === undefined ? `one of ${TOPICS.join(", ")}` : `did you mean ${meant}?`;
    return err(`"${topic}" is no topic; ${hint}`);
  }
  return ok(topics((topic) => wanted.has(topic) || wanted.has("all")));
}

/** Built in one place, so that all observers' flags have one shape and reading one stays cheap. */
function topics(isOn: (topic: Topic) => boolean): DebugTopics {
  return {
    calls: isOn("calls"),
    link: isOn("link"),
    containers: isOn("containers"),
    versions: isOn("versions"),
    gateway: isOn("gateway"),
  };
}

function eventText({ name, fields }: ObservedEvent): string {
  if (name === "notice") return String(fields["text"]);
  if (name === "container.output") return `[${fields["source"]}] ${fields["line"]}`;
  if (name === "log.dropped") {
    return `postern: ${fields["lines"]} lines were left out: they came faster than they were read`;
  }
  const { from, to, reason, ...rest } = fields;
  const words: string[] = [name];
  if (from !== undefined) words.push(`${from} -> ${to} (${reason})`);
  for (const [field, value] of Object.entries(rest)) {
    if (value !== undefined) words.push(`${snakeCase(field)}=${value}`);
  }
  return words.join(" ");
}

function snakeCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

/** The observer of the Worker and of each object: their lines go to the console. */
import { boundedNotices } from "../../base/bounded-notices.ts";
import { DISK_IS_FULL } from "../../base/full-disk.ts";
import { jsonSink, NO_TOPICS, Observer, parseTopics, textSink } from "../../base/observer.ts";
import type { Env } from "./env.ts";

const observers = new WeakMap<Env, Observer>();

/** The observer that the environment asks for: the same one for each request. */
export function observerOf(env: Env): Observer {
  let observer = observers.get(env);
  if (observer === undefined) observers.set(env, (observer = createObserver(env)));
  return observer;
}

/** `postern gateway` puts the time before lines of text; on Cloudflare the console does. */
function createObserver(env: Env): Observer {
  const topics = parseTopics(env.POSTERN_DEBUG ?? "");
  const write = (line: string): void => console.log(line);
  const sink = env.POSTERN_LOG === "json" ? jsonSink(write) : textSink(write, () => "");
  return new Observer({
    sinks: [boundedNotices(sink)],
    now: Date.now,
    debug: topics.ok ? topics.value : NO_TOPICS,
  });
}

/** Tells the operator of an error that no client hears of in these words, and names a full disk. */
export function reportError(env: Env, what: string, error: unknown): void {
  const words = String(error);
  const disk = /SQLITE_FULL|disk is full|ENOSPC/i.test(words) ? DISK_IS_FULL : "";
  observerOf(env).notice(`${what}: ${disk}${words}`);
}

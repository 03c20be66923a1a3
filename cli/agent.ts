/** The agent's life, for `up`, `serve` and `origin`. */

import { readFileSync, readlinkSync } from "node:fs";
import { hostname } from "node:os";
import { basename } from "node:path";
import { setFlagsFromString } from "node:v8";
import { within } from "../base/runtime/within.ts";
import {
  AgentRefused,
  startAgent,
  type AgentOptions,
  type RunningAgent,
} from "../origin-gpu/agent.ts";
import { CommandFailure } from "./failure.ts";
import { startMetrics } from "./metrics.ts";
import { linesWritten, observer, stampLines } from "./observer.ts";
import { printNotice } from "./output.ts";
import { STOPPED_EARLY, type StopSignals } from "./stop-signals.ts";
import { surviveFaults } from "./survive-faults.ts";

/** How long containers may take to end after a second Ctrl-C. The end of this process ends the rest. */
const INSISTED_MS = 1_000;

/** An agent that is to hand over has so long to start first: without its gateway it may not start for hours. */
const STARTED_MS = 10_000;

const MAX_BOX_NAME_LENGTH = 64;

/**
 * V8 counts the buffers of sockets beside its heap. Without this flag each few megabytes that pass make it mark the
 * whole heap: a download cost the agent a third more CPU (`npm run bench -- --only download`).
 */
const COUNT_BUFFERS = "--external-memory-accounted-in-global-limit";

/** The first Node whose V8 knows the flag; an older one would complain on stderr. */
const KNOWN_FROM_NODE = 24;

/**
 * Starts the agent. Where somebody asks to stop before it is there, all that it began is ended first; where
 * somebody insists, at once. One that is to hand over starts first, so that what it took over stays whole.
 * @throws {CommandFailure} when the gateway refuses it, or somebody asked to stop
 */
export async function startAgentUnlessStopped(
  options: AgentOptions,
  stop: StopSignals,
): Promise<RunningAgent> {
  const [major] = process.versions.node.split(".", 1).map(Number);
  if (major !== undefined && major >= KNOWN_FROM_NODE) setFlagsFromString(COUNT_BUFFERS);
  await startMetrics();
  surviveFaults(observer, async () => {
    await linesWritten();
    process.exit(1);
  });
  const stopping = new AbortController();
  const starting = startAgent(options, stopping.signal);
  void stop.asked.then(async () => {
    // The next agent gets all that this one has taken over, when it has started.
    if (stop.isHandOver()) await within(STARTED_MS, starting).catch(() => undefined);
    stopping.abort();
  });
  const insisted = stop.insisted.then(() => {
    throw new CommandFailure(STOPPED_EARLY);
  });
  try {
    const agent = await Promise.race([starting, insisted]);
    noticeOfFirstProcess();
    stampLines();
    return agent;
  } catch (error) {
    if (stopping.signal.aborted) throw new CommandFailure(STOPPED_EARLY);
    throw error instanceof AgentRefused ? new CommandFailure(error.message) : error;
  }
}

/** Node as process 1 of a container waits for no orphans; postern.js can mend that only where the Node is new. */
function noticeOfFirstProcess(): void {
  let program = "";
  try {
    program = basename(readlinkSync("/proc/1/exe"));
  } catch {
    // Another user's, or no Linux.
  }
  if (program !== "node") return;
  printNotice(
    "process 1 of this container is Node, which leaves ended processes behind; run it with an init, e.g. docker run --init",
  );
}

/** This machine's name, in the form that a box may have. */
export function boxName(machine: string = hostname()): string {
  const name = machine.replaceAll(/[^A-Za-z0-9._-]+/g, "-").slice(0, MAX_BOX_NAME_LENGTH);
  return name === "" ? "box" : name;
}

/** Waits until the agent should end, then drains it; a second signal ends it at once. */
export async function runUntilStopped(
  agent: RunningAgent,
  stop: StopSignals,
  around: {
    readonly before?: () => Promise<void>;
    readonly after?: () => Promise<void>;
    /** The agent's clients after `before`. */
    readonly clients?: "attached" | "gone";
  } = {},
): Promise<number> {
  const refusal = await Promise.race([agent.refused, stop.asked]);
  if (typeof refusal === "string") {
    await agent.close();
    await around.after?.();
    throw new CommandFailure(refusal);
  }
  const isHandOver = stop.isHandOver() && !endsWithAll();
  if (stop.isHandOver() && !isHandOver) {
    printNotice("containers can't run on: they end with process 1 of this container");
  }
  printNotice(
    isHandOver
      ? "finishing what is under way; containers run on for the agent that starts next"
      : "finishing what is under way; Ctrl-C again ends at once",
  );
  const politely = async (): Promise<number> => {
    await around.before?.();
    const containers = isHandOver ? "leave" : "end";
    await agent.drain({ clients: around.clients, containers });
    await around.after?.();
    return 0;
  };
  const code = await Promise.race([politely(), stop.insisted.then(() => undefined)]);
  if (code !== undefined) return code;
  await within(INSISTED_MS, agent.close());
  return 1;
}

/** Process 1 of this container is the agent, or runs it and ends with it: the kernel ends all other processes then. */
function endsWithAll(): boolean {
  try {
    return /\bpostern\b/.test(readFileSync("/proc/1/cmdline", "utf8"));
  } catch {
    // No Linux, where nothing can be left running anyway.
    return true;
  }
}

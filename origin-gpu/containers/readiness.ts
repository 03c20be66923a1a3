/**
 * Waits until a server takes connections and, where it has a health path, answers it with a 2xx status. The system
 * does not report when another process begins to listen, so this polls. The caller bounds the wait by a signal.
 */
import { connect } from "node:net";
import { rejectedBy } from "../../base/runtime/rejected-by.ts";
import { systemTimer, type Timer } from "../../base/runtime/timer.ts";
import { SECOND_MS } from "../../base/units.ts";
import { callsOriginOf, type ContainerPort } from "./container-port.ts";
import { answerProblem, askContainer } from "./container-request.ts";

/** How long it is from the begin of a try to the next one: a share of the time so far, within bounds. */
interface PausePolicy {
  readonly firstMs: number;
  readonly share: number;
  readonly longestMs: number;
}

/**
 * Between two connections that nothing takes. So a server is noticed late by half a percent of its load, and within 25 ms
 * after one of minutes. The two addresses of a container then cost 1 to 5 % of a core, most of it to wake up for them.
 */
const CONNECT_PAUSE: PausePolicy = { firstMs: 2, share: 0.005, longestMs: 20 };

/** The same at further addresses. A server that listens at ::1 alone is rare, and each try takes time from one that starts. */
const FURTHER_CONNECT_PAUSE: PausePolicy = { firstMs: 12, share: 0.02, longestMs: 20 };

/**
 * Between two questions to a server that listens and is not ready: each costs it an answer, and often a line in its log.
 * So readiness is noticed within 25 ms in the first second, and then late by 2 % of the time for which the server listens,
 * 250 ms at most. That is some 180 lines in the first 12 s and 240 a minute then; 25 ms throughout were 3,000 a minute.
 */
const QUESTION_PAUSE: PausePolicy = { firstMs: 20, share: 0.02, longestMs: 250 };

const CONNECT_TIMEOUT_MS = 2_000;
const HEALTH_TIMEOUT_MS = 10 * SECOND_MS;

interface ReadinessOptions {
  /** Told after each try why no origin is ready. */
  readonly notYet?: (why: string) => void;
  /** Says why the connections that an origin takes do not reach the server; undefined where they do. */
  readonly ownerProblem?: (origin: string) => string | undefined;
  readonly timer?: Timer;
  readonly now?: () => number;
  /** Instead of a connection, and of a GET of the health path. */
  readonly accepts?: typeof acceptsConnections;
  readonly healthProblem?: typeof problemOf;
}

/**
 * As `untilReady`. A container that takes calls beside its web server listens for them first: when all that runs
 * before them has run.
 */
export async function untilServing(
  { origins, callsPort }: Pick<ContainerPort, "origins" | "callsPort">,
  healthPath: string | undefined,
  signal: AbortSignal,
  options: ReadinessOptions,
): Promise<string> {
  const { callsOrigin } = callsOriginOf(callsPort);
  if (callsOrigin !== undefined) await untilReady([callsOrigin], undefined, signal, options);
  return await untilReady(origins, healthPath, signal, options);
}

/**
 * Returns the first of these origins (scheme, host, port) that is ready. Several, since a server that
 * listens on "localhost" may mean 127.0.0.1 or ::1. Each is asked by itself: one that hangs holds up no other.
 * @throws the signal's reason when it is aborted first
 */
export async function untilReady(
  origins: readonly string[],
  healthPath: string | undefined,
  signal: AbortSignal,
  options: ReadinessOptions = {},
): Promise<string> {
  const found = new AbortController();
  const either = AbortSignal.any([signal, found.signal]);
  /** By origin; undefined where nothing listens. */
  const problems = new Map<string, string | undefined>();
  const onProblem = (origin: string, problem: string | undefined): void => {
    problems.set(origin, problem);
    const why = [...problems.values()].find((text) => text !== undefined);
    options.notYet?.(why ?? `nothing takes connections at ${origins[0]}`);
  };
  const asked = { healthPath, ...options, onProblem };
  try {
    return await Promise.race([
      rejectedBy(signal),
      ...origins.map(async (origin, index) => {
        const connectPause = index === 0 ? CONNECT_PAUSE : FURTHER_CONNECT_PAUSE;
        return await untilOneIsReady(origin, either, { ...asked, connectPause });
      }),
    ]);
  } finally {
    found.abort();
  }
}

interface Asked extends ReadinessOptions {
  readonly connectPause: PausePolicy;
  readonly healthPath: string | undefined;
  readonly onProblem: (origin: string, problem: string | undefined) => void;
}

/** @throws when the signal is aborted */
async function untilOneIsReady(
  origin: string,
  signal: AbortSignal,
  {
    connectPause,
    healthPath,
    onProblem,
    ownerProblem = () => undefined,
    timer = systemTimer,
    now = () => performance.now(),
    accepts = acceptsConnections,
    healthProblem = problemOf,
  }: Asked,
): Promise<string> {
  const begunMs = now();
  let listensSince: number | undefined;
  for (;;) {
    const triedMs = now();
    let problem: string | undefined;
    if (await accepts(origin)) {
      listensSince ??= now();
      if (healthPath !== undefined) problem = await healthProblem(origin, healthPath, signal);
      // Last, since it reads much of /proc, and a model may load for minutes.
      problem ??= ownerProblem(origin);
      if (problem === undefined) return origin;
    } else {
      listensSince = undefined;
    }
    // A question that the signal itself broke off says nothing about the server.
    signal.throwIfAborted();
    onProblem(origin, problem);
    const [policy, sinceMs] =
      listensSince === undefined ? [connectPause, begunMs] : [QUESTION_PAUSE, listensSince];
    const pause = pauseMs(policy, now() - sinceMs, now() - triedMs);
    await new Promise<void>((resolve) => void timer(resolve, pause));
    signal.throwIfAborted();
  }
}

/** A try that took its time has been a part of its pause: a question that timed out is followed by the next one. */
function pauseMs(
  { firstMs, share, longestMs }: PausePolicy,
  sinceMs: number,
  tookMs: number,
): number {
  return Math.max(firstMs, Math.min(longestMs, sinceMs * share) - tookMs);
}

/**
 * The message for the operator when the signal was a timeout.
 * @param why the last reason that `notYet` was told
 */
export function lateMessage(startupTimeout: number, why: string | undefined): string {
  const late = `not ready within startup_timeout, ${startupTimeout} s`;
  return why === undefined ? late : `${late}: ${why}`;
}

/**
 * Whether something takes a connection at this origin now, or within 2 s. It keeps no process alive. There is no signal:
 * to listen to one costs three times as much as the connection, and nobody waits for the try that is left.
 */
export async function acceptsConnections(origin: string): Promise<boolean> {
  const url = new URL(origin);
  const port = Number(url.port === "" ? (url.protocol === "https:" ? 443 : 80) : url.port);
  return await new Promise((resolve) => {
    const socket = connect({ port, host: bareHost(url), timeout: CONNECT_TIMEOUT_MS });
    socket.unref();
    const settle = (accepted: boolean) => {
      socket.destroy();
      resolve(accepted);
    };
    socket.once("connect", () => settle(true));
    socket.once("timeout", () => settle(false));
    socket.once("error", () => settle(false));
  });
}

/** Says what GET got instead of a 2xx status; undefined for a 2xx. A broken answer counts as not ready too. */
async function problemOf(
  origin: string,
  path: string,
  signal: AbortSignal,
): Promise<string | undefined> {
  const answer = await askContainer(
    { origin },
    { method: "GET", path, headers: {} },
    { signal: AbortSignal.any([signal, AbortSignal.timeout(HEALTH_TIMEOUT_MS)]), until: "head" },
  );
  const problem = answerProblem(answer);
  return problem === undefined ? undefined : `GET ${origin}${path} ${problem}`;
}

/** Without the brackets of an IPv6 literal, as node:net wants it. */
function bareHost(url: URL): string {
  return url.hostname.replace(/^\[|\]$/g, "");
}

/**
 * Waits until a server takes connections and, where it has a health path, answers it with a 2xx status. The system
 * does not report when another process begins to listen, so this polls. The caller bounds the wait by a signal.
 */
import { request } from "node:http";
import { request as secureRequest } from "node:https";
import { connect } from "node:net";
import { setTimeout as delay } from "node:timers/promises";

const FIRST_DELAY_MS = 20;
/** A model loads for minutes; four tries a second cost nothing and lose nothing. */
const MAX_DELAY_MS = 250;
const CONNECT_TIMEOUT_MS = 2_000;
const HEALTH_TIMEOUT_MS = 10_000;

interface ReadinessOptions {
  /** Told after each round why no origin was ready. */
  readonly notYet?: (why: string) => void;
  /** Whether the connections that an origin takes reach another program than the server. */
  readonly isAnothers?: (origin: string) => boolean;
}

/**
 * Returns the first of these origins (scheme, host, port) that is ready. Several, since a server that
 * listens on "localhost" may mean 127.0.0.1 or ::1.
 * @throws the signal's reason when it is aborted first
 */
export async function untilReady(
  origins: readonly string[],
  healthPath: string | undefined,
  signal: AbortSignal,
  { notYet = () => undefined, isAnothers = () => false }: ReadinessOptions = {},
): Promise<string> {
  for (let pause = FIRST_DELAY_MS; ; pause = Math.min(MAX_DELAY_MS, pause * 1.5)) {
    let why = `nothing takes connections at ${origins[0]}`;
    for (const origin of origins) {
      signal.throwIfAborted();
      if (!(await acceptsConnections(origin, signal))) continue;
      const problem =
        healthPath === undefined ? undefined : await healthProblem(origin, healthPath, signal);
      if (problem !== undefined) why = `GET ${origin}${healthPath} ${problem}`;
      // Last, since it reads much of /proc, and a model may load for minutes.
      else if (isAnothers(origin)) why = `another program listens at ${origin}`;
      else return origin;
    }
    // An attempt that the signal itself broke off says nothing about the server.
    if (!signal.aborted) notYet(why);
    // Rejects with an AbortError of its own; the signal's reason says more.
    await delay(pause, undefined, { signal }).catch(() => undefined);
  }
}

/**
 * The message for the operator when the signal was a timeout.
 * @param why the last reason that `notYet` was told
 */
export function lateMessage(startupTimeout: number, why: string | undefined): string {
  const late = `not ready within startup_timeout, ${startupTimeout} s`;
  return why === undefined ? late : `${late}: ${why}`;
}

/** Whether something takes a connection at this origin now; no when the signal is aborted. */
export async function acceptsConnections(origin: string, signal: AbortSignal): Promise<boolean> {
  const url = new URL(origin);
  const port = Number(url.port === "" ? (url.protocol === "https:" ? 443 : 80) : url.port);
  return await new Promise((resolve) => {
    const socket = connect({ port, host: bareHost(url), timeout: CONNECT_TIMEOUT_MS, signal });
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
async function healthProblem(
  origin: string,
  path: string,
  signal: AbortSignal,
): Promise<string | undefined> {
  const url = new URL(origin);
  const send = url.protocol === "https:" ? secureRequest : request;
  return await new Promise((resolve) => {
    const asked = send({
      host: bareHost(url),
      port: url.port,
      path,
      agent: false,
      signal: AbortSignal.any([signal, AbortSignal.timeout(HEALTH_TIMEOUT_MS)]),
    });
    asked.once("response", (response) => {
      const { statusCode = 0 } = response;
      response.destroy();
      resolve(statusCode >= 200 && statusCode < 300 ? undefined : `answers ${statusCode}`);
    });
    // Stays until the end: destroying the answer may raise an error of its own.
    asked.on("error", () => resolve("has no answer"));
    asked.end();
  });
}

/** Without the brackets of an IPv6 literal, as node:net wants it. */
function bareHost(url: URL): string {
  return url.hostname.replace(/^\[|\]$/g, "");
}

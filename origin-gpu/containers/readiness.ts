/**
 * Whether a server takes connections and, where it has a health path, says that it is well. Nothing
 * tells of another process's listening, so this tries again and again; the caller bounds it by a signal.
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

/**
 * Returns the first of these origins (scheme, host, port) that is ready. Several, since a server that
 * listens on "localhost" may mean 127.0.0.1 or ::1.
 * @throws the signal's reason when it is aborted first
 */
export async function untilReady(
  origins: readonly string[],
  healthPath: string | undefined,
  signal: AbortSignal,
): Promise<string> {
  for (let pause = FIRST_DELAY_MS; ; pause = Math.min(MAX_DELAY_MS, pause * 1.5)) {
    for (const origin of origins) {
      signal.throwIfAborted();
      if (!(await acceptsConnections(origin, signal))) continue;
      if (healthPath === undefined || (await isHealthy(origin, healthPath, signal))) return origin;
    }
    // Rejects with an AbortError of its own; the signal's reason says more.
    await delay(pause, undefined, { signal }).catch(() => undefined);
  }
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

/** Whether GET answers with a 2xx status; anything else, a broken answer too, is "not yet". */
async function isHealthy(origin: string, path: string, signal: AbortSignal): Promise<boolean> {
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
      resolve(statusCode >= 200 && statusCode < 300);
    });
    // Stays until the end: destroying the answer may raise an error of its own.
    asked.on("error", () => resolve(false));
    asked.end();
  });
}

/** Without the brackets of an IPv6 literal, as node:net wants it. */
function bareHost(url: URL): string {
  return url.hostname.replace(/^\[|\]$/g, "");
}

/**
 * Postern's own requests to a container: for its health, to warm it up, to put it to sleep and to wake it. They pass
 * the queue, and count as no call. An answer is judged by its status alone.
 */
import { request } from "node:http";
import { request as secureRequest } from "node:https";
import type { ContainerRequest } from "../config/app-config.ts";
import type { ContainerAddress } from "./container.ts";

export type ContainerAnswer =
  | { readonly kind: "answered"; readonly status: number }
  /** No connection, or one that broke before the end. */
  | { readonly kind: "broken" }
  /** The signal was aborted first. */
  | { readonly kind: "silent" };

interface AskOptions {
  /** Ends the wait. */
  readonly signal: AbortSignal;
  /** The wait is for the whole answer, which may be the work itself, or for its head. */
  readonly until: "end" | "head";
}

/** Sends one request over a connection of its own. Never rejects. */
export async function askContainer(
  { origin, socketPath }: ContainerAddress,
  { method, path, headers, body }: ContainerRequest,
  { signal, until }: AskOptions,
): Promise<ContainerAnswer> {
  const url = new URL(origin);
  const send = url.protocol === "https:" ? secureRequest : request;
  const answer = await new Promise<ContainerAnswer>((resolve) => {
    const asked = send({
      // Without the brackets of an IPv6 literal, as node:net wants it.
      host: url.hostname.replaceAll(/^\[|\]$/g, ""),
      port: url.port,
      ...(socketPath === undefined ? {} : { socketPath }),
      method,
      path,
      headers: { ...lengthOf(body), ...headers },
      agent: false,
      signal,
    });
    asked.once("response", (response) => {
      const answered = { kind: "answered", status: response.statusCode ?? 0 } as const;
      // Later resolutions have no effect.
      response.once("end", () => resolve(answered));
      response.once("close", () => resolve({ kind: "broken" }));
      if (until === "head") {
        resolve(answered);
        response.destroy();
      } else response.resume();
    });
    // Stays until the end: destroying the answer may raise an error of its own.
    asked.on("error", () => resolve({ kind: "broken" }));
    asked.end(body);
  });
  return answer.kind === "broken" && signal.aborted ? { kind: "silent" } : answer;
}

/** Says what an answer is instead of a 2xx; undefined for a 2xx. */
export function answerProblem(answer: ContainerAnswer): string | undefined {
  switch (answer.kind) {
    case "answered":
      return answer.status >= 200 && answer.status < 300
        ? undefined
        : `was answered ${answer.status}`;
    case "broken":
      return "got no answer: the connection broke, or there was none";
    case "silent":
      return "was not answered in time";
  }
}

function lengthOf(body: string | undefined): Record<string, string> {
  return body === undefined ? {} : { "content-length": `${Buffer.byteLength(body)}` };
}

/** The `warmup` requests of a container that listens and is not ready yet. */
import { setTimeout as delay } from "node:timers/promises";
import type { ContainerRequest } from "../config/app-config.ts";
import type { ContainerAddress } from "./container.ts";
import { answerProblem, askContainer } from "./container-request.ts";

/** A process that dies breaks its connections first; its exit, which says more, is told within this time. */
const EXIT_NOTICED_MS = 1_000;

export interface WarmUp {
  readonly requests: readonly ContainerRequest[];
  /** Ends it: the time is over, or the process has ended. */
  readonly signal: AbortSignal;
  /** Told which request is under way. */
  readonly onRequest: (name: string) => void;
}

/**
 * Sends the requests, each after the answer of the one before.
 * @returns which one was not answered 2xx, and what happened instead; undefined when all were
 * @throws the signal's reason when it is aborted first
 */
export async function warmUp(
  address: ContainerAddress,
  { requests, signal, onRequest }: WarmUp,
): Promise<string | undefined> {
  for (const [index, request] of requests.entries()) {
    const name = `warmup[${index}], ${request.method} ${request.path},`;
    onRequest(name);
    const answer = await askContainer(address, request, { signal, until: "end" });
    if (answer.kind === "broken") {
      await delay(EXIT_NOTICED_MS, undefined, { signal }).catch(() => undefined);
    }
    signal.throwIfAborted();
    const problem = answerProblem(answer);
    if (problem !== undefined) return `${name} ${problem}`;
  }
  return undefined;
}

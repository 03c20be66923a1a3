/** Sends the requests by which an endpoint's container falls asleep, or wakes. */
import type { ContainerRequest } from "../config/app-config.ts";
import type { ContainerAddress } from "../containers/container.ts";
import { answerProblem, askContainer } from "../containers/container-request.ts";

/**
 * Each after the answer of the one before.
 * @param key names them for the operator
 * @returns which one was not answered 2xx, and what happened instead
 */
export async function askInTurn(
  address: ContainerAddress | undefined,
  { key, requests }: { readonly key: string; readonly requests: readonly ContainerRequest[] },
  limitMs: number,
): Promise<string | undefined> {
  if (address === undefined) return "its process has ended";
  const signal = AbortSignal.timeout(limitMs);
  for (const [index, request] of requests.entries()) {
    const answer = await askContainer(address, request, { signal, until: "end" });
    const problem = answerProblem(answer);
    if (problem !== undefined) {
      return `${key}[${index}], ${request.method} ${request.path}, ${problem}`;
    }
  }
  return undefined;
}

/** Small requests over kept connections, for benches that compare kinds of requests in turns. */
import { Agent, request as httpRequest } from "node:http";
import type { Address } from "../support/http-client.ts";

export const CONNECTIONS = 16;

export type Headers = Readonly<Record<string, string>>;

/**
 * Posts over kept connections; the times are milliseconds from the request to its answer's last byte.
 * @param headersOf a request's, where they name a host it is that one's
 */
export async function load(
  { port, host }: Address,
  path: string,
  count: number,
  headersOf: (index: number) => Headers,
  expected: number,
): Promise<{ timesMs: number[]; elapsedMs: number }> {
  const agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS });
  const timesMs: number[] = [];
  let next = 0;
  const post = async (index: number): Promise<void> =>
    await new Promise((resolve, reject) => {
      const startedAt = performance.now();
      const headers = { host, ...headersOf(index), "content-length": "8" };
      const request = httpRequest(
        { agent, host: "127.0.0.1", port, path, method: "POST", headers },
        (response) => {
          if (response.statusCode !== expected) reject(new Error(`${response.statusCode}`));
          response.resume().once("end", () => {
            timesMs.push(performance.now() - startedAt);
            resolve();
          });
        },
      );
      request.once("error", reject).end("question");
    });
  const worker = async (): Promise<void> => {
    for (let index = next++; index < count; index = next++) await post(index);
  };
  const startedAt = performance.now();
  await Promise.all(Array.from({ length: CONNECTIONS }, worker));
  agent.destroy();
  return { timesMs, elapsedMs: performance.now() - startedAt };
}

export function median(numbers: readonly number[]): number {
  return numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? Number.NaN;
}

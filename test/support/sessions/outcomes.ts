/** Sessions of real clients at an app of several containers, and what a run of them must have come to. */
import { execFile } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect } from "vitest";

export const CLIENTS = fileURLToPath(new URL("../clients", import.meta.url));
const TIMEOUT_MS = 170_000;
const EVEN_WITHIN = 0.3;

/** What came of a session: the processes that served its steps, or what its client said. */
export type SessionOutcome = { readonly places: readonly string[] } | { readonly failure: string };

/** Sessions of one kind of client, all at once. */
export type Sessions = (url: string, count: number) => Promise<SessionOutcome[]>;

/** A program of test/support/clients that has the sessions and prints their outcomes. */
export async function programOutcomes(
  interpreter: string,
  program: string,
  ...args: readonly string[]
): Promise<SessionOutcome[]> {
  const command = [join(CLIENTS, program), ...args];
  const { stdout } = await promisify(execFile)(interpreter, command, { timeout: TIMEOUT_MS });
  return JSON.parse(stdout) as SessionOutcome[];
}

export function failuresOf(sessions: readonly SessionOutcome[]): string[] {
  return sessions.flatMap((session) => ("failure" in session ? [session.failure] : []));
}

/** None failed, and each was served by one process. Returns how many each process had. */
export function expectKeptSessions(sessions: readonly SessionOutcome[]): Map<string, number> {
  expect(failuresOf(sessions)).toEqual([]);
  const counts = new Map<string, number>();
  const moved: unknown[] = [];
  for (const session of sessions) {
    const [place, ...others] = new Set("places" in session ? session.places : []);
    if (place === undefined || others.length > 0) moved.push(session);
    else counts.set(place, (counts.get(place) ?? 0) + 1);
  }
  expect(moved).toEqual([]);
  return counts;
}

/** As `expectKeptSessions`, and each container had its part of the sessions within 30 %. */
export function expectEvenSessions(sessions: readonly SessionOutcome[], containers: number): void {
  const counts = [...expectKeptSessions(sessions).values()];
  console.log(`sessions of each container: ${counts.join(", ")}`);
  const even = sessions.length / containers;
  const uneven = counts.filter((count) => Math.abs(count - even) > EVEN_WITHIN * even);
  expect({ containers: counts.length, uneven }).toEqual({ containers, uneven: [] });
}

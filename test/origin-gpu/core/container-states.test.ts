/** The table of a container's states. */
import { expect, test } from "vitest";
import {
  CONTAINER_STATES,
  type ContainerEvent,
  stateAfter,
} from "../../../origin-gpu/core/container-states.ts";

const EVENTS: readonly ContainerEvent[] = [
  "granted",
  "withdrawn",
  "prepared",
  "ready",
  "drain",
  "slept",
  "stop",
  "stuck",
  "exited",
];

test("every state but the last has a way to gone, and gone has none back", () => {
  for (const state of CONTAINER_STATES) {
    const seen = new Set([state]);
    for (const from of seen) {
      for (const event of EVENTS) {
        const next = stateAfter(from, event);
        if (next !== undefined) seen.add(next);
      }
    }
    expect(seen, state).toContain("gone");
    if (state === "gone") expect(seen.size).toBe(1);
  }
});

test("a process may exit in every state in which there is one", () => {
  const withProcess = CONTAINER_STATES.filter((state) => state !== "claiming" && state !== "gone");
  for (const state of withProcess) expect(stateAfter(state, "exited"), state).toBe("gone");
});

test("only a container with what it claimed gets a process, and only one without calls sleeps", () => {
  const comingTo = (goal: string) =>
    CONTAINER_STATES.flatMap((state) =>
      EVENTS.filter((event) => stateAfter(state, event) === goal).map(
        (event) => `${state} ${event}`,
      ),
    );
  expect(comingTo("preparing")).toEqual(["claiming granted"]);
  expect(comingTo("starting")).toEqual(["preparing prepared", "asleep granted"]);
  expect(comingTo("ready")).toEqual(["starting ready"]);
  expect(comingTo("asleep")).toEqual(["draining slept"]);
});

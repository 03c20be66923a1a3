/** A container of a pool's world: what runs of it, by the effects of the pool, which are checked. */
import type { ContainerState } from "../../../origin-gpu/core/container-states.ts";
import type { ContainerEffect } from "../../../origin-gpu/core/pool-effects.ts";
import { demand } from "./pool-refusal-rules.ts";

export interface WorldContainer {
  phase: "claims" | "prepares" | "starts" | "serves" | "falls asleep" | "sleeps" | "ends";
  /** It asks the box, or holds what it asked for. */
  claim: "none" | "asks" | "holds";
  readonly calls: Set<number>;
  state: ContainerState;
  /** It drains since then, and for this reason. */
  drains?: { readonly sinceMs: number; readonly by: string; readonly sleeps: boolean };
}

/** By the first effect of a container. */
export function begun(type: ContainerEffect["type"]): WorldContainer {
  demand(
    type === "claim" || type === "adopt",
    "a container begins once, and nothing follows its end",
  );
  const container = { calls: new Set<number>(), state: "claiming" } as const;
  if (type === "claim") return { ...container, phase: "claims", claim: "asks" };
  return { ...container, phase: "prepares", claim: "holds" };
}

/** @param inUse its calls that count as use */
export function carryOut(
  type: ContainerEffect["type"],
  container: WorldContainer,
  inUse: number,
): void {
  const { phase, claim } = container;
  demand(type !== "adopt", "who is adopted is new");
  if (type === "claim") {
    demand(claim === "none", "who claims has nothing");
    container.claim = "asks";
  } else if (type === "withdraw") {
    demand(claim === "asks", "only a claim that is asked for is withdrawn");
    container.claim = "none";
  } else if (type === "release") {
    demand(phase === "sleeps", "only who sleeps or is gone gives back");
    container.claim = "none";
  } else if (type === "launch" || type === "wake") {
    demand(claim === "holds", `${type} needs what it claimed`);
    demand(phase === (type === "wake" ? "sleeps" : "claims"), `${type} in its phase`);
    container.phase = type === "wake" ? "starts" : "prepares";
  } else if (type === "sleep") {
    demand(inUse === 0, "no call in use is under way where it falls asleep");
    demand(phase === "serves", "it falls asleep once");
    container.phase = "falls asleep";
  } else if (type === "stop") container.phase = "ends";
}

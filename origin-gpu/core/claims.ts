/** The claims of containers on their box, and the effects of the box's arbitration (core/box.ts). */
import { MINUTE_MS, SECOND_MS } from "../../base/units.ts";
import type { Card, CardChoice, LostCard } from "./cards.ts";

/** A container, as the box knows it. */
export interface Claim {
  /** Of this container alone, for ever. */
  readonly id: string;
  /** One endpoint in one version. */
  readonly pool: string;
  /** The endpoint, the same in each version. */
  readonly endpoint: string;
  /** The app, the same in each version. */
  readonly app: string;
}

/** The needs of a container that starts. */
export interface ClaimNeeds {
  /** Whole cards: the choices in order of preference. */
  readonly gpus?: readonly CardChoice[];
  /** Memory of one card, instead of whole ones. */
  readonly gpuMemoryBytes?: number;
  readonly port?: number;
}

/** A claim that waits. */
export interface ClaimRequest {
  readonly needs: ClaimNeeds;
  /**
   * Arrival of the oldest call that waits for it. Without one the container is to be there in advance
   * (`min_containers`): it gets what is free, and no other container yields to it.
   */
  readonly sinceMs?: number | undefined;
  /** Calls wait for this container alone: others of its pool do not help them. */
  readonly isAwaited?: boolean | undefined;
  /** The claim is a new version's, which is being prepared: how it treats the version that serves. */
  readonly rollout?: Rollout | undefined;
}

/** When a container of the serving version yields to one of a new version of its endpoint. */
export type Rollout =
  /** At once, where the two don't fit beside each other and no idle container can yield. */
  | "auto"
  /** Never. */
  | "overlap"
  /** At once; the new one starts when no other version of the endpoint is left. */
  | "replace";

/** How a holder is used. */
export interface ClaimUse {
  /** Calls that it works on and that count as use. */
  readonly inFlight: number;
  /** Arrival of the oldest call that waits at its pool. */
  readonly oldestWaiterMs: number | undefined;
}

export type YieldReason =
  /** Another container waits for it. */
  | "wanted"
  /** A new version is to take its place. */
  | "replaced"
  /** A card of it was taken out. */
  | "card_lost"
  /** It sleeps, and the machine's memory is short. */
  | "memory_short";

/** How a new version that does not fit beside the serving one comes by its room. */
export type RoomNews =
  /** A container was asked to make it. */
  | "made"
  /** It waits for some, and the serving version makes none. */
  | "awaited";

export type BoxEffect =
  /** The container has what it needs: `cards` are its own, or the one that it has a share of. */
  | { readonly type: "grant"; readonly claim: string; readonly cards: readonly Card[] }
  /** An idle container sleeps or ends now, another one when it has finished its calls. Told once. */
  | {
      readonly type: "yield";
      readonly claim: string;
      readonly reason: YieldReason;
      /** The claim that gets its room, where it is wanted. */
      readonly wantedBy?: Claim | undefined;
      /** That claim is a new version's of the same app, which is being prepared; the holder is not. */
      readonly isForVersion?: boolean | undefined;
    }
  /** There is no room for the claim of a new version, to which the serving one does not yield. Told once. */
  | { readonly type: "room_awaited"; readonly claim: string }
  /** The claim waits for one of these cards to come back: the others of the box do not suffice. Told once. */
  | { readonly type: "card_out"; readonly claim: string; readonly lost: readonly LostCard[] }
  /** The box has no such cards, sick ones included, and the claim is forgotten. */
  | { readonly type: "impossible"; readonly claim: string }
  /** Send `tick` at this time, instead of the time before. */
  | { readonly type: "wake_at"; readonly atMs: number };

/** The bounds of arbitration, in milliseconds. */
export interface ArbitrationLimits {
  /** A container that became ready is left alone so long: a swap that comes sooner costs more than it brings. */
  readonly residencyMs: number;
  /**
   * A busy container goes on so long while a claim waits, and as long as its own load took: a turn that is short beside
   * the loads would leave the GPU loading for most of the time.
   */
  readonly patienceMs: number;
  /** It goes on so long at most, for callers that came before the turn began. */
  readonly mostPatienceMs: number;
}

export const ARBITRATION_LIMITS: ArbitrationLimits = {
  residencyMs: 5 * SECOND_MS,
  patienceMs: 30 * SECOND_MS,
  mostPatienceMs: 2 * MINUTE_MS,
};

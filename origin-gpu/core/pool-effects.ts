/** The effects of a pool, and the settings of its endpoint that it goes by. */
import type { SessionState } from "../../routing/wire/sessions.ts";
import type { ContainerEvent, ContainerState } from "./container-states.ts";

export interface PoolSettings {
  /** Calls that a container has at most at a time. */
  readonly maxInputs: number;
  /** Calls that the scaler aims at for each container, at most `maxInputs`. */
  readonly targetInputs: number;
  readonly minContainers: number;
  readonly maxContainers: number;
  /** Containers besides those that the calls need, while there are calls. */
  readonly bufferContainers: number;
  /** False: the pool keeps the containers that it has, and starts or wakes none. */
  readonly mayStart: boolean;
  /** A container that is not needed stops after this time without use. */
  readonly scaledownWindowMs: number;
  /** A call waits so long at most while no container starts. */
  readonly startupTimeoutMs: number;
  readonly maxPending: number;
  readonly maxPendingAsync: number;
  /** A start that no call needs any more is given up: others may want its GPU. */
  readonly givesUpStarts: boolean;
  /** Containers sleep instead of ending when another pool needs what they claim. */
  readonly canSleep: boolean;
  /** A session whose container is gone gets another one. */
  readonly sessionsMove: boolean;
  /** A container that is replaced or not needed keeps its sessions so long. */
  readonly sessionGraceMs: number;
  /** Nothing is started any more after so many failures without a container that was well between them. */
  readonly mostFailures?: number;
}

export type StartFailureCode = "starting_failed" | "startup_timeout";

/** Why a container is ended. */
export type StopReason = "not_needed" | "failed" | "unhealthy" | "yields" | "asked" | "retired";

/** A container is to go on in this way. */
export type ContainerEffect =
  /** Ask the box for what the container needs. */
  | { readonly type: "claim"; readonly container: number }
  /** Do not ask the box for it any more. */
  | { readonly type: "withdraw"; readonly container: number }
  /** Give the box back what the container claimed. */
  | { readonly type: "release"; readonly container: number; readonly isAsleep: boolean }
  | { readonly type: "launch" | "sleep" | "wake"; readonly container: number }
  /** Take over the process that an earlier agent left running under this id, with what it holds of the box. */
  | { readonly type: "adopt"; readonly container: number; readonly left: string }
  | { readonly type: "stop"; readonly container: number; readonly reason: StopReason }
  /** For observers. */
  | {
      readonly type: "moved";
      readonly container: number;
      readonly from: ContainerState;
      readonly to: ContainerState;
      /** The event, or why the container is ended. */
      readonly by: ContainerEvent | StopReason;
    };

export type PoolEffect<Call> =
  | ContainerEffect
  /** The container works on the call from now on. */
  | {
      readonly type: "assign";
      readonly call: Call;
      readonly container: number;
      /** How the call's session came to the container. */
      readonly session: SessionState | undefined;
    }
  /** The call ends; the pool has forgotten it. */
  | {
      readonly type: "refuse";
      readonly call: Call;
      readonly code: StartFailureCode | "queue_full" | "gave_up" | "session_lost";
      readonly retryAfterS: number;
    }
  /** The version has ended: its successor takes the call. The pool has forgotten it. */
  | { readonly type: "hand_over"; readonly call: Call }
  /** Send `tick` at this time; an earlier one that was asked for stays due. */
  | { readonly type: "wake_at"; readonly atMs: number };

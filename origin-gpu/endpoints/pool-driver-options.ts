/** The options of a pool's driver, and the events that it tells. */
import type { LeftContainer } from "../containers/left-container.ts";
import type { ClaimNeeds, RoomNews } from "../core/claims.ts";
import type { PoolEffect, PoolSettings } from "../core/pool-effects.ts";
import type { SessionTable } from "../core/session-table.ts";
import type { SessionState } from "../../routing/wire/sessions.ts";
import type { BoxClaims, PoolIdentity } from "./box-claims.ts";
import type {
  ContainerListener,
  ContainerSource,
  EndpointContainers,
} from "./endpoint-containers.ts";
import type { CallUsage } from "./place-times.ts";
import type { QueuedCall } from "./queued-call.ts";
import type { ServingContainer } from "./serving-container.ts";

type RefuseEffect = Extract<PoolEffect<QueuedCall>, { type: "refuse" }>;

/** The containers of an endpoint, as its pool's driver sees them. */
export type ManagedContainers = Pick<EndpointContainers, keyof EndpointContainers>;

/** Gives a pool its containers, whose events the listener hears. */
export type ManageContainers = (
  source: ContainerSource,
  listener: ContainerListener,
) => ManagedContainers;

export interface PoolDriverOptions {
  readonly source: ContainerSource;
  readonly settings: PoolSettings;
  readonly claims: BoxClaims;
  readonly identity: PoolIdentity;
  /** Of each container. */
  readonly needs: ClaimNeeds;
  /** As in `Pool`. */
  readonly isProved: boolean;
  /** As in `Pool`. */
  readonly sessions: SessionTable;
  /** Its containers that the last agent left running. */
  readonly left: readonly LeftContainer[];
  /** Absent: real processes. */
  readonly manageContainers?: ManageContainers;
  /** Absent: nobody is charged. */
  readonly usage?: CallUsage | undefined;
  /** The box has asked a container to make room for another one, or one of a new version waits for some. */
  readonly onRoom: (news: RoomNews) => void;
  /** The container is about to be ended. */
  readonly onStops: (containerId: string) => void;
  /** The container takes no more calls, while its version goes on. @param sleeps it does not end then */
  readonly onDrains: (containerId: string, sleeps: boolean) => void;
  /** It has finished them, or ends with them. */
  readonly onDrained: (containerId: string) => void;
  readonly onAssigned: (
    queued: QueuedCall,
    container: ServingContainer,
    session: SessionState | undefined,
  ) => void;
  readonly onRefused: (queued: QueuedCall, refusal: RefuseEffect) => void;
  readonly onHandedOver: (queued: QueuedCall) => void;
  /** Something has happened: calls or containers may be others. */
  readonly onChange?: () => void;
}

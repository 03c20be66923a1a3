/** The options of an endpoint: what it runs, and what it shares with others of its box. */
import type { Scaling } from "../../routing/wire/scaling.ts";
import type { BodySpools } from "../calls/body-spool.ts";
import type { SessionTable } from "../core/session-table.ts";
import type { GatewayAddress } from "../link/gateway-address.ts";
import type { BoxClaims, PoolIdentity } from "./box-claims.ts";
import type { ContainerSource } from "./endpoint-containers.ts";
import type { JoinLeases } from "./pool-terms.ts";

export interface EndpointOptions extends ContainerSource {
  readonly gateway: GatewayAddress;
  /** Where bodies of waiting calls go; without it they wait in their windows. */
  readonly bodies: BodySpools | undefined;
  readonly claims: BoxClaims;
  readonly identity: PoolIdentity;
  /** The box has asked a container to make room for another one. */
  readonly onYields?: (() => void) | undefined;
  /** Files of all its containers, which session keys name. */
  readonly files?: { hasOne(keys: readonly string[]): boolean } | undefined;
  /** Of all versions of the endpoint. */
  readonly sessions: SessionTable;
  /** The version serves elsewhere: no container has to show first that it becomes ready. */
  readonly isProved: boolean;
  /** As in `poolSettings`. */
  readonly isEphemeral?: boolean | undefined;
  /** Numbers of containers that were changed before it begins. */
  readonly scaling?: Scaling | undefined;
  /** Other boxes run the pool too: its number of containers is what this gives it. */
  readonly joinLeases?: JoinLeases | undefined;
}

/** The options of an endpoint: what it runs, and what it shares with others of its box. */
import type { Scaling } from "../../routing/wire/scaling.ts";
import type { Call } from "../calls/call.ts";
import type { BodySpools } from "../calls/body-spool.ts";
import type { SessionTable } from "../core/session-table.ts";
import type { TokenCalls } from "../core/token-calls.ts";
import type { GatewayAddress } from "../link/gateway-address.ts";
import type { RoomNews } from "../core/claims.ts";
import type { BoxClaims, PoolIdentity } from "./box-claims.ts";
import type { ContainerSource } from "./endpoint-containers.ts";
import type { CallUsage } from "./place-times.ts";
import type { JoinLeases } from "./pool-terms.ts";

/** Files that all containers of an endpoint share. */
export interface EndpointFiles {
  /** Whether one of these session keys names some. */
  hasOne(keys: readonly string[]): boolean;
  /** Brings those that the request names to this box. @returns undefined at once where it names none */
  bring(call: Pick<Call, "head" | "body">): Promise<void> | undefined;
}

export interface EndpointOptions extends ContainerSource {
  readonly gateway: GatewayAddress;
  /** Where bodies of waiting calls go; without it they wait in their windows. */
  readonly bodies: BodySpools | undefined;
  readonly claims: BoxClaims;
  readonly identity: PoolIdentity;
  /** Absent: nobody is charged. */
  readonly usage?: CallUsage | undefined;
  /** The calls of tokens that may have so many. Absent: none is refused for it. */
  readonly tokenCalls?: TokenCalls<Call> | undefined;
  /** As in `PoolDriverOptions`. */
  readonly onRoom?: ((news: RoomNews) => void) | undefined;
  /** Files of all its containers, which session keys and requests name. */
  readonly files?: EndpointFiles | undefined;
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

/** The options that all endpoints of a box share. */
export type BoxOptions = Pick<
  EndpointOptions,
  | "gateway"
  | "bodies"
  | "usePython"
  | "user"
  | "claims"
  | "records"
  | "spares"
  | "left"
  | "openTunnel"
  | "usage"
  | "tokenCalls"
>;

/** The methods of `Names`, the registry of host names, and the types of their results. Times are ms of the epoch. */
import type { FormerBoxes } from "../../routing/boxes.ts";
import type { AppKind, Claimant } from "../../routing/claims.ts";
import type { EndpointSettings } from "../../routing/wire/messages.ts";

/** A box that serves an endpoint. Its links are numbered from 0. */
export interface BoxPlace {
  box: string;
  links: number;
  /** Absent where it has none. */
  region?: string;
}

/** The edge's copy of an endpoint: the boxes that serve it, the number of their links, and its settings. */
export interface Snapshot {
  workspace: string;
  environment: string;
  app: string;
  appId: string;
  /** None: all of them were revoked. */
  boxes: BoxPlace[];
  /** Boxes that served it before, and may hold calls under keys. Absent: none. */
  formerBoxes?: FormerBoxes[];
  endpoint: string;
  settings: EndpointSettings;
}

/** A name whose app was stopped: anybody may take it. */
export interface StoppedName {
  stopped: true;
}

/** Why a claim is refused. */
export interface Held {
  /** The id of the app that holds the name, or has reserved it. */
  owner: string;
  kind: AppKind;
}

/**
 * How a workspace that has proved a domain claims it: `take` it from whoever has it, or keep it or take a free one
 * (`renew`).
 */
export type DomainClaim = "take" | "renew";

export interface NamesRpc extends Rpc.DurableObjectBranded {
  lookup(name: string): Snapshot | StoppedName | undefined;
  lookupHost(host: string): Snapshot | StoppedName | undefined;
  claimDomain(domain: string, workspace: string, how: DomainClaim): boolean;
  releaseDomain(domain: string, workspace: string): void;
  isClaimedBesides(domain: string, workspace: string): boolean;
  reserve(name: string, claimant: Claimant, untilMs: number): Held | undefined;
  commit(name: string, claimant: Claimant, snapshot: Snapshot): Held | undefined;
  cancelReservation(name: string, owner: string): void;
  release(name: string, owner: string): void;
  stop(name: string, owner: string): void;
}

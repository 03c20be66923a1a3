/** The method of `Meter`, by which an isolate takes tokens of a workspace's rate limits. */
import type { LeaseGrant, LeaseRequest } from "../../routing/rate-leases.ts";

/** One limit's question. */
export interface MeterQuestion {
  /** Of the workspace (`workspace`), or of one of its endpoints or tokens. */
  readonly limit: string;
  /** As its setting writes it. */
  readonly rate: string;
  readonly request: LeaseRequest;
}

export interface MeterRpc extends Rpc.DurableObjectBranded {
  /** @param isolate a random name */
  lease(isolate: string, question: MeterQuestion): LeaseGrant;
}

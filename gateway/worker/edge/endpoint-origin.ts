/** The endpoint that a request is for, as the steps after its authorization know it. */
import type { ParsedHost } from "../../../routing/host.ts";
import type { Env } from "../../contracts/env.ts";
import type { Snapshot } from "../../contracts/names.ts";
import type { clientOf } from "./client-address.ts";

export interface EndpointOrigin {
  readonly env: Env;
  readonly execution: ExecutionContext;
  readonly host: Pick<Extract<ParsedHost, { kind: "endpoint" }>, "name" | "authority">;
  readonly client: ReturnType<typeof clientOf>;
  readonly snapshot: Snapshot;
  /** The original path and query. */
  readonly target: string;
}

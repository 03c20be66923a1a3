/** The endpoint that a request is for, as the steps after its authorization know it. */
import type { ConnectParameter } from "../../../routing/connect-token.ts";
import type { ParsedHost } from "../../../routing/host.ts";
import type { Env } from "../../contracts/env.ts";
import type { Snapshot } from "../../contracts/names.ts";
import type { AdmittedToken } from "./admission.ts";
import type { clientOf } from "./client-address.ts";

export interface EndpointOrigin {
  readonly env: Env;
  readonly execution: ExecutionContext;
  readonly host: Exclude<ParsedHost, { kind: "base" }>;
  readonly client: ReturnType<typeof clientOf>;
  readonly snapshot: Snapshot;
  /** The original path and query, without a token in it: the app's. */
  readonly target: string;
  /** With its token: a client that is sent elsewhere goes on with it. */
  readonly clientTarget: string;
  readonly parameter?: ConnectParameter | undefined;
  /** The proxy token that the caller came with. */
  readonly token?: AdmittedToken | undefined;
  /** Words about the caller for the app, of a verified credential. */
  readonly userData?: string | undefined;
}

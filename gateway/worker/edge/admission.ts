/** Callers as authorization sees them, and those that may pass. */
import type { TokenLimits } from "../../../auth/proxy-authorization.ts";
import type { ConnectParameter } from "../../../routing/connect-token.ts";

/** The parts of a request that may hold a credential. */
export interface EndpointCaller {
  /** In upper case. */
  readonly method: string;
  readonly headers: Headers;
  /** The public Host. */
  readonly authority: string;
  /** Path and query, raw, without a token. */
  readonly target: string;
  /** The token in the query. */
  readonly parameter?: ConnectParameter | undefined;
  readonly scheme: () => "http" | "https";
}

/** A proxy token that opens the endpoint. */
export interface AdmittedToken {
  readonly id: string;
  readonly limits: TokenLimits;
}

/** A caller that may pass. */
export interface Admission {
  /** The proxy token that it came with. */
  readonly token?: AdmittedToken;
  /** Words about the caller for the app, of a verified credential. */
  readonly userData?: string;
  /** A Set-Cookie line, by which the caller's browser goes on. */
  readonly cookie?: string;
}

/** A caller of whom nothing is known. */
export const ADMITTED: Admission = {};

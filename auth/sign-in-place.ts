/** Where somebody signs in, and by which identity provider. A text that was signed or sealed for one place opens no other. */
import type { ConnectEndpoint } from "./connect-token.ts";

export interface SignInPlace extends ConnectEndpoint {
  /** The public host, without its port: cookies know none. */
  readonly host: string;
  /** Of the identity provider. */
  readonly issuer: string;
  /** Of the endpoint, at the provider. */
  readonly clientId: string;
}

/** One text for each place. */
export function placeText(place: SignInPlace): string {
  const { workspace, environment, app, endpoint, host, issuer, clientId } = place;
  return JSON.stringify([workspace, environment, app, endpoint, host, issuer, clientId]);
}

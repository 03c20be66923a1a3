/** A real identity provider on this machine, `oidc-provider`, with its pages for development: any name signs in. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { Provider } from "oidc-provider";

export interface RealIdentityProvider {
  readonly issuer: string;
  readonly host: string;
  /** Makes it know a client; before that it does not answer. */
  serve(client: {
    readonly id: string;
    readonly secret: string;
    readonly redirectUris: readonly string[];
  }): void;
  stop(): void;
}

/** Of `name@example.com`; whoever is called `unverified` is. */
export async function startIdentityProvider(): Promise<RealIdentityProvider> {
  let provider: Provider | undefined;
  const server = createServer((request, response) => {
    if (provider === undefined) response.writeHead(503).end();
    else void provider.callback()(request, response);
  });
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  const { port } = server.address() as AddressInfo;
  const host = `127.0.0.1:${port}`;
  const issuer = `http://${host}`;
  return {
    issuer,
    host,
    serve({ id, secret, redirectUris }) {
      provider = new Provider(issuer, {
        clients: [{ client_id: id, client_secret: secret, redirect_uris: [...redirectUris] }],
        claims: { openid: ["sub"], email: ["email", "email_verified"], profile: ["name"] },
        cookies: { keys: ["of a test"] },
        findAccount: (_context, accountId) => ({
          accountId,
          claims: () => ({
            sub: accountId,
            email: `${accountId}@example.com`,
            email_verified: accountId !== "unverified",
            name: accountId,
          }),
        }),
      });
    },
    stop() {
      server.closeAllConnections();
      server.close();
    },
  };
}

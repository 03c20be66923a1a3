/**
 * An identity provider on this machine that does as each test says: by default right, and in any part wrong. It has no
 * pages: the test takes the part of the person's browser.
 */
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { exportJWK, generateKeyPair, SignJWT } from "jose";

/** What it answers with next; absent members are as they should be. */
export interface Misbehaviour {
  /** Members of the token, over the right ones; undefined takes one away. */
  readonly claims?: Readonly<Record<string, unknown>>;
  /** The whole token, instead of a signed one. */
  readonly idToken?: string;
  /** Of the token endpoint. */
  readonly status?: number;
  readonly userinfo?: Readonly<Record<string, unknown>>;
  /** Closes each connection. */
  readonly isDown?: boolean;
}

/** A code that it has given out. */
interface Grant {
  readonly nonce: string;
  readonly challenge: string;
  readonly redirectUri: string;
}

/** What the person's browser was sent to it with. */
export type AuthorizationRequest = Readonly<Record<string, string>>;

export class FakeIdentityProvider {
  readonly issuer: string;
  readonly clientId = "postern";
  readonly clientSecret = "s3cret:with/odd+letters";
  misbehaviour: Misbehaviour = {};
  /** Members of its description, over the right ones. */
  metadata: Readonly<Record<string, unknown>> = {};
  /** How often each path was asked for. */
  readonly asked = new Map<string, number>();
  /** Who proved themselves how at the token endpoint. */
  readonly authorizations: (string | undefined)[] = [];
  #codes = 0;
  readonly #grants = new Map<string, Grant>();
  readonly #key: Awaited<ReturnType<typeof generateKeyPair>>;
  readonly #stop: () => void;

  private constructor(
    port: number,
    key: Awaited<ReturnType<typeof generateKeyPair>>,
    stop: () => void,
  ) {
    this.issuer = `http://127.0.0.1:${port}`;
    this.#key = key;
    this.#stop = stop;
  }

  static async start(): Promise<FakeIdentityProvider> {
    const key = await generateKeyPair("ES256", { extractable: true });
    const server = createServer((request, response) => {
      if (provider.misbehaviour.isDown === true) {
        request.socket.destroy();
        return;
      }
      void provider.#answer(request).then(({ status, body }) => {
        response.writeHead(status, { "content-type": "application/json" });
        response.end(JSON.stringify(body));
      });
    });
    await new Promise<void>((resolve) => {
      server.listen(0, "127.0.0.1", resolve);
    });
    const { port } = server.address() as AddressInfo;
    const provider: FakeIdentityProvider = new FakeIdentityProvider(port, key, () => {
      server.closeAllConnections();
      server.close();
    });
    return provider;
  }

  get host(): string {
    return new URL(this.issuer).host;
  }

  stop(): void {
    this.#stop();
  }

  /** Gives a code for what the browser was sent with, as after a person's consent. */
  grant({ nonce = "", code_challenge = "", redirect_uri = "" }: AuthorizationRequest): string {
    this.#codes += 1;
    const code = `code-${this.#codes}`;
    this.#grants.set(code, { nonce, challenge: code_challenge, redirectUri: redirect_uri });
    return code;
  }

  async #answer(request: IncomingMessage): Promise<{ status: number; body: unknown }> {
    const path = request.url ?? "";
    this.asked.set(path, (this.asked.get(path) ?? 0) + 1);
    switch (path) {
      case "/.well-known/openid-configuration":
        return { status: 200, body: this.#description() };
      case "/jwks": {
        const jwk = await exportJWK(this.#key.publicKey);
        return { status: 200, body: { keys: [{ ...jwk, kid: "one", alg: "ES256" }] } };
      }
      case "/token":
        return await this.#token(request);
      case "/userinfo":
        return { status: 200, body: this.misbehaviour.userinfo ?? {} };
      default:
        return { status: 404, body: {} };
    }
  }

  #description(): object {
    const { issuer } = this;
    return {
      issuer,
      authorization_endpoint: `${issuer}/auth`,
      token_endpoint: `${issuer}/token`,
      userinfo_endpoint: `${issuer}/userinfo`,
      jwks_uri: `${issuer}/jwks`,
      id_token_signing_alg_values_supported: ["ES256"],
      authorization_response_iss_parameter_supported: true,
      ...this.metadata,
    };
  }

  async #token(request: IncomingMessage): Promise<{ status: number; body: unknown }> {
    let text = "";
    for await (const chunk of request) text += String(chunk);
    const form = new URLSearchParams(text);
    this.authorizations.push(request.headers.authorization);
    const code = form.get("code") ?? "";
    const grant = this.#grants.get(code);
    this.#grants.delete(code);
    const isProved =
      grant !== undefined &&
      form.get("redirect_uri") === grant.redirectUri &&
      (await challengeOf(form.get("code_verifier") ?? "")) === grant.challenge;
    if (!isProved) return { status: 400, body: { error: "invalid_grant" } };
    const { status = 200, idToken } = this.misbehaviour;
    const signed = idToken ?? (await this.#sign(grant.nonce));
    const body = { access_token: "at", token_type: "Bearer", id_token: signed };
    return { status, body: status === 200 ? body : { error: "invalid_client" } };
  }

  async #sign(nonce: string): Promise<string> {
    const nowS = Math.floor(Date.now() / 1_000);
    const claims = {
      iss: this.issuer,
      aud: this.clientId,
      sub: "248289761001",
      nonce,
      email: "ada@example.com",
      email_verified: true,
      name: "Ada Ünal",
      iat: nowS,
      exp: nowS + 300,
      ...this.misbehaviour.claims,
    };
    return await new SignJWT(claims)
      .setProtectedHeader({ alg: "ES256", kid: "one" })
      .sign(this.#key.privateKey);
  }
}

/** RFC 7636, 4.2. */
async function challengeOf(verifier: string): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(verifier));
  return Buffer.from(digest).toString("base64url");
}

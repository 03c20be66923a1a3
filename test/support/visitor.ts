/** A browser, as far as the gateway sees it: it goes to pages, and keeps cookies. It signs in at a fake provider. */
import { type AuthorizationRequest, type FakeIdentityProvider } from "./fake-identity-provider.ts";
import { type Address, type Answer, send } from "./http-client.ts";

type OtherHeaders = Readonly<Record<string, string | undefined>>;

export class Visitor {
  readonly cookies = new Map<string, string>();
  readonly #address: Address;
  readonly #provider: FakeIdentityProvider;
  readonly #headers: Readonly<Record<string, string>>;

  /** @param headers of each request, as a proxy in front adds them */
  constructor(
    address: Address,
    provider: FakeIdentityProvider,
    headers: Readonly<Record<string, string>> = {},
  ) {
    this.#address = address;
    this.#provider = provider;
    this.#headers = headers;
  }

  /** The value of the Cookie header. */
  get cookie(): string {
    return [...this.cookies].map(([name, value]) => `${name}=${value}`).join("; ");
  }

  /** @param headers over a browser's; undefined for one that is not sent */
  async go(path: string, headers: OtherHeaders = {}, method = "GET"): Promise<Answer> {
    const { cookie } = this;
    const lines = Object.entries({
      accept: "text/html,application/xhtml+xml,*/*;q=0.8",
      "sec-fetch-mode": "navigate",
      "sec-fetch-site": "cross-site",
      ...(cookie !== "" && { cookie }),
      ...this.#headers,
      ...headers,
    });
    const answer = await send(this.#address, path, {
      method,
      headers: Object.fromEntries(
        lines.flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
      ),
      timeoutMs: 60_000,
    });
    for (const line of answer.headers["set-cookie"] ?? []) {
      const [pair = ""] = line.split(";");
      const at = pair.indexOf("=");
      if (line.includes("Max-Age=0")) this.cookies.delete(pair.slice(0, at));
      else this.cookies.set(pair.slice(0, at), pair.slice(at + 1));
    }
    return answer;
  }

  /** Opens a page, and is sent to the provider. */
  async begin(path: string): Promise<AuthorizationRequest> {
    const { status, headers } = await this.go(path);
    const { location = "" } = headers;
    if (status !== 303 || !location.startsWith(`${this.#provider.issuer}/auth?`)) {
      throw new Error(`${status}, and not to the provider: ${location}`);
    }
    return Object.fromEntries(new URL(location).searchParams);
  }

  /** Comes back from the provider. @param more of the query, over what is right */
  async comeBack(
    asked: AuthorizationRequest,
    more: Record<string, string> = {},
    headers: OtherHeaders = {},
  ): Promise<Answer> {
    const back = new URL(asked["redirect_uri"] ?? "");
    const query = new URLSearchParams({
      code: this.#provider.grant(asked),
      state: asked["state"] ?? "",
      iss: this.#provider.issuer,
      ...more,
    });
    return await this.go(`${back.pathname}?${query.toString()}`, headers);
  }

  async signIn(path = "/"): Promise<Answer> {
    return await this.comeBack(await this.begin(path));
  }
}

/** Where a browser goes on by itself from the page that it got; undefined where it stays there. */
export function goesOnTo({ status, headers }: Answer): string | undefined {
  return status === 200 ? /^0; url=(.*)$/.exec(String(headers["refresh"]))?.[1] : undefined;
}

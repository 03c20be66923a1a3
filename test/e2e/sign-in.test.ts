/** Sign-in at an endpoint, with an identity provider that does right, or wrong in one part. */
import { exportJWK, generateKeyPair, SignJWT, UnsecuredJWT } from "jose";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";

import { PUT_SECRET } from "../../api/secrets.ts";
import { ownAccess } from "../../cli/access.ts";
import { ApiClient } from "../../cli/client.ts";
import {
  type AuthorizationRequest,
  FakeIdentityProvider,
} from "../support/fake-identity-provider.ts";
import { type Gateway, startCommand, startUp, webServer } from "../support/harness.ts";
import type { Answer } from "../support/http-client.ts";
import { goesOnTo, Visitor } from "../support/visitor.ts";

let provider: FakeIdentityProvider;
let postern: Gateway;

beforeAll(async () => {
  provider = await FakeIdentityProvider.start();
  const { issuer, clientId, host } = provider;
  const oidc = { issuer, client_id: clientId, emails: ["*@example.com"] };
  const secret = { client_secret: "$OIDC_SECRET", secrets: ["provider"] };
  postern = await startUp(
    [
      webServer({ auth: { oidc: { ...oidc, ...secret } } }),
      { function: "public-client", containers_of: "web", auth: { oidc } },
      { function: "other", containers_of: "web", auth: { oidc: { ...oidc, ...secret } } },
      {
        function: "strict",
        containers_of: "web",
        auth: { oidc: { ...oidc, emails: ["bob@example.com"] } },
      },
      {
        function: "lost-secret",
        containers_of: "web",
        auth: { oidc: { ...oidc, ...secret, secrets: ["nowhere"] } },
      },
      {
        function: "misled",
        containers_of: "web",
        auth: { oidc: { ...oidc, issuer: `http://127.0.0.2:${host.split(":")[1] ?? ""}` } },
      },
    ],
    { flags: ["--identity-hosts", host, "--trusted-proxies", "127.0.0.1"] },
  );
  await new ApiClient(ownAccess(postern.stateDirectory)).call(PUT_SECRET, {
    path: { name: "provider" },
    query: { environment: "main" },
    body: { variables: { OIDC_SECRET: provider.clientSecret } },
  });
});
afterAll(async () => {
  await postern.stop();
  provider.stop();
});
afterEach(() => {
  provider.misbehaviour = {};
});

/** @param headers of each request, as a proxy in front adds them */
const visitor = (functionName = "web", headers: Record<string, string> = {}) =>
  new Visitor(postern.address(functionName), provider, headers);

interface Seen {
  readonly headers: [string, string][];
}

function valuesOf(answer: Answer, name: string): string[] {
  const { headers } = answer.json() as Seen;
  return headers.filter(([key]) => key === name).map(([, value]) => value);
}

describe("a person", () => {
  test("is sent to the provider, comes back, and goes on where they wanted", async () => {
    const ada = visitor();
    const asked = await ada.begin("/seen/private?page=1&x=%2F");
    expect(asked).toMatchObject({
      response_type: "code",
      client_id: "postern",
      redirect_uri: `http://${postern.address("web").host}/_postern/signed-in`,
      scope: "openid email profile",
      code_challenge_method: "S256",
    });
    const back = await ada.comeBack(asked);
    expect(goesOnTo(back)).toBe(`http://${postern.address("web").host}/seen/private?page=1&x=%2F`);
    // Its URL has the code in it.
    expect(back.headers["referrer-policy"]).toBe("no-referrer");
    const [line = ""] = back.headers["set-cookie"] ?? [];
    expect(line).toMatch(/; Path=\/; Max-Age=43200; HttpOnly; SameSite=Lax$/);

    const page = await ada.go("/seen/private", {
      "x-verified-user-data": "root",
      cookie: `${ada.cookie}; own=1`,
    });
    expect(page.status).toBe(200);
    const [told = "", ...others] = valuesOf(page, "x-verified-user-data");
    expect(others).toEqual([]);
    expect(JSON.parse(told)).toEqual({
      iss: provider.issuer,
      sub: "248289761001",
      email: "ada@example.com",
      name: "Ada Ünal",
    });
    // The app sees its own cookie alone.
    expect(valuesOf(page, "cookie")).toEqual(["own=1"]);
    const [basic = ""] = provider.authorizations.slice(-1);
    const sent = Buffer.from((basic ?? "").replace("Basic ", ""), "base64").toString();
    expect(sent).toBe(`postern:${encodeURIComponent(provider.clientSecret)}`);
  });

  test("asks the provider nothing once they have signed in", async () => {
    const ada = visitor();
    await ada.signIn();
    const before = new Map(provider.asked);
    for (let warm = 0; warm < 10; warm += 1) {
      expect((await ada.go("/json")).status).toBe(200);
    }
    expect(provider.asked).toEqual(before);
    expect(provider.asked.get("/.well-known/openid-configuration")).toBe(1);
    expect(provider.asked.get("/jwks")).toBe(1);
  });

  test("may sign in by two tabs at once", async () => {
    const ada = visitor();
    const [one, two] = [await ada.begin("/seen/one"), await ada.begin("/seen/two")];
    expect(goesOnTo(await ada.comeBack(one))).toContain("/seen/one");
    expect(goesOnTo(await ada.comeBack(two))).toContain("/seen/two");
  });

  test.each([{ accept: "*/*" }, { "sec-fetch-site": "none" }, { "sec-fetch-site": undefined }])(
    "is redirected where they come by a program that shows no page: %o",
    async (headers) => {
      const ada = visitor();
      const back = await ada.comeBack(await ada.begin("/json"), {}, headers);
      const location = `http://${postern.address("web").host}/json`;
      expect([back.status, back.headers.location]).toEqual([303, location]);
    },
  );

  test("signs in at a client without a secret, by PKCE alone", async () => {
    expect(goesOnTo(await visitor("public-client").signIn())).toBeDefined();
    expect(provider.authorizations.at(-1)).toBeUndefined();
  });

  test("signs in where the provider tells their address to the holder of its token alone", async () => {
    const userinfo = { sub: "248289761001", email: "ada@example.com", email_verified: true };
    const claims = { email: undefined, email_verified: undefined };
    provider.misbehaviour = { claims, userinfo };
    expect(goesOnTo(await visitor().signIn())).toBeDefined();
    provider.misbehaviour = { claims, userinfo: { ...userinfo, sub: "another" } };
    expect((await visitor().signIn()).status).toBe(502);
    provider.misbehaviour = {
      claims: { email_verified: undefined },
      userinfo: { sub: userinfo.sub },
    };
    expect((await visitor().signIn()).status).toBe(403);
  });

  test("signs out, by the page of this host alone", async () => {
    const ada = visitor();
    await ada.signIn();
    expect((await ada.go("/_postern/sign-out")).text).toContain('method="post"');
    const forged = await ada.go("/_postern/sign-out", { origin: "https://evil.example" }, "POST");
    expect(forged.status).toBe(403);
    expect((await ada.go("/json")).status).toBe(200);
    const origin = `http://${postern.address("web").host}`;
    const out = await ada.go("/_postern/sign-out", { origin }, "POST");
    expect(out).toMatchObject({ status: 200 });
    expect(out.text).toContain("You are signed out");
    const again = await ada.go("/_postern/sign-in");
    expect(new URL(again.headers.location ?? "").searchParams.get("prompt")).toBe("login");
    expect((await ada.go("/json")).status).toBe(303);
  });
});

describe("a command that revokes sign-ins", () => {
  test("ends them everywhere within 5 s, copies of the cookie too, and people sign in again", async () => {
    const [ada, elsewhere] = [visitor(), visitor("public-client")];
    await ada.signIn();
    await elsewhere.signIn();
    expect((await ada.go("/json")).status).toBe(200);
    expect((await elsewhere.go("/json")).status).toBe(200);
    const command = startCommand(["sign-in", "revoke", "--state", postern.stateDirectory]);
    expect((await command.exited).code).toBe(0);
    const statuses = async () => [
      (await ada.go("/json")).status,
      (await elsewhere.go("/json")).status,
    ];
    await expect.poll(statuses, { timeout: 20_000 }).toEqual([303, 303]);
    await ada.signIn();
    expect((await ada.go("/json")).status).toBe(200);
    // A stored count: it is there after a restart.
    const { workerdPid } = postern;
    process.kill(workerdPid, "SIGKILL");
    const back = async () => (await ada.go("/json").catch(() => undefined))?.status;
    await expect.poll(back, { timeout: 30_000 }).toBe(200);
    expect((await elsewhere.go("/json")).status).toBe(303);
  });
});

describe("a caller that is no person's browser at a page", () => {
  test.each([
    ["a program", { accept: "application/json" }, "GET", "/json"],
    [
      "a page's fetch",
      { "sec-fetch-mode": "cors", "sec-fetch-site": "same-origin" },
      "GET",
      "/json",
    ],
    ["a form", {}, "POST", "/json"],
  ] as const)("gets 401: %s", async (_who, headers, method, path) => {
    const { status, headers: given, text } = await visitor().go(path, headers, method);
    expect(status).toBe(401);
    expect(given.location).toBeUndefined();
    if ("accept" in headers) expect(text).toContain('"code":"missing_credentials"');
  });

  test("does not get in by the cookie from another page", async () => {
    const ada = visitor();
    await ada.signIn();
    const own = `http://${postern.address("web").host}`;
    const fetched = { "sec-fetch-mode": "cors", accept: "*/*" };
    const from = async (origin: string, site: string) =>
      (await ada.go("/json", { ...fetched, origin, "sec-fetch-site": site })).status;
    expect(await from(own, "same-origin")).toBe(200);
    expect(await from(`http://${postern.address("other").host}`, "same-site")).toBe(401);
    expect(await from("https://evil.example", "cross-site")).toBe(401);
  });
});

describe("a cookie", () => {
  test("under https is one that no neighbour can plant, and no plain one counts", async () => {
    const ada = visitor("web", { "x-forwarded-proto": "https" });
    const asked = await ada.begin("/json");
    const { host } = postern.address("web");
    expect(asked["redirect_uri"]).toBe(`https://${host}/_postern/signed-in`);
    const back = await ada.comeBack(asked);
    expect(goesOnTo(back)).toBe(`https://${host}/json`);
    const [line = ""] = back.headers["set-cookie"] ?? [];
    expect(line).toMatch(/^__Host-postern_sign_in=.*; Path=\/; .*; Secure$/);
    expect((await ada.go("/json")).status).toBe(200);
    const seen = await ada.go("/seen/x", { cookie: `${ada.cookie}; own=1` });
    expect(valuesOf(seen, "cookie")).toEqual(["own=1"]);
    const planted = visitor("web", { "x-forwarded-proto": "https" });
    for (const [name, value] of ada.cookies)
      planted.cookies.set(name.replace("__Host-", ""), value);
    expect((await planted.go("/json")).status).toBe(303);
  });

  test("of another endpoint opens nothing, though the same person may enter both", async () => {
    const ada = visitor();
    await ada.signIn();
    const elsewhere = visitor("other");
    for (const [name, value] of ada.cookies) elsewhere.cookies.set(name, value);
    expect((await elsewhere.go("/json")).status).toBe(303);
  });

  test("can't be set by the app", async () => {
    const ada = visitor();
    await ada.signIn();
    const set = "/cookies?set=postern_sign_in%3Dx&set=mine%3D1";
    const { headers } = await ada.go(set);
    expect(headers["set-cookie"]?.some((line) => line.startsWith("postern_"))).not.toBe(true);
  });
});

describe("a sign-in is not completed", () => {
  const refused = async (answer: Promise<Answer>, status: number, words: string) => {
    const { status: given, text, headers } = await answer;
    expect({ given, text }).toEqual({ given: status, text: expect.stringContaining(words) });
    expect(headers["set-cookie"]?.join(" ") ?? "").not.toContain("sign_in=");
  };

  test("in another browser, so that nobody is signed in as somebody else", async () => {
    const asked = await visitor().begin("/");
    await refused(visitor().comeBack(asked), 400, "sign_in_failed");
    const victim = visitor();
    await victim.begin("/");
    await refused(victim.comeBack(asked), 400, "sign_in_failed");
  });

  test("at another endpoint", async () => {
    const ada = visitor();
    const asked = await ada.begin("/");
    const other = visitor("other");
    for (const [name, value] of ada.cookies) other.cookies.set(name, value);
    await refused(other.comeBack(asked), 400, "sign_in_failed");
  });

  test("with a state that was changed, left out, or comes twice", async () => {
    const ada = visitor();
    const asked = await ada.begin("/");
    await refused(ada.comeBack(asked, { state: "AAAA.AAAA" }), 400, "sign_in_failed");
    await refused(ada.comeBack({ ...asked, state: "" }), 400, "sign_in_failed");
    await refused(ada.go("/_postern/signed-in"), 400, "sign_in_failed");
  });

  test("twice with one code", async () => {
    const ada = visitor();
    const asked = await ada.begin("/");
    const code = provider.grant(asked);
    expect(goesOnTo(await ada.comeBack(asked, { code }))).toBeDefined();
    await refused(ada.comeBack(asked, { code }), 400, "the provider says invalid_grant");
  });

  test("with another person's code", async () => {
    const ada = visitor();
    const asked = await ada.begin("/");
    const theirs = provider.grant(await visitor().begin("/"));
    await refused(ada.comeBack(asked, { code: theirs }), 400, "invalid_grant");
  });

  test("where the person says no", async () => {
    const ada = visitor();
    const asked = await ada.begin("/");
    await refused(ada.comeBack(asked, { error: "access_denied" }), 400, "access_denied");
    await refused(ada.comeBack(asked, { error: "<script>" }), 400, "the provider says no");
  });

  test("where another issuer answers, or the answer names none", async () => {
    const ada = visitor();
    const asked = await ada.begin("/");
    await refused(
      ada.comeBack(asked, { iss: "https://evil.example" }),
      502,
      "identity_provider_error",
    );
    const nameless = new URLSearchParams({
      code: provider.grant(asked),
      state: asked["state"] ?? "",
    });
    await refused(
      ada.go(`/_postern/signed-in?${nameless.toString()}`),
      502,
      "identity_provider_error",
    );
  });

  test.each([
    ["another nonce", { nonce: "stolen" }],
    ["no nonce", { nonce: undefined }],
    ["another issuer", { iss: "https://evil.example" }],
    ["another audience", { aud: "mail" }],
    ["two audiences, and another authorized party", { aud: ["postern", "mail"], azp: "mail" }],
    ["no subject", { sub: undefined }],
    ["an end in the past", { exp: 1_700_000_000 }],
    ["no end", { exp: undefined }],
    ["a beginning in the future", { nbf: 4_000_000_000 }],
  ])("by a token with %s", async (_what, claims) => {
    provider.misbehaviour = { claims };
    await refused(visitor().signIn(), 502, "identity_provider_error");
  });

  test("by a token that is not signed, or signed by somebody else", async () => {
    const ada = visitor();
    const nowS = Math.floor(Date.now() / 1_000);
    const claimsFor = (asked: AuthorizationRequest) => ({
      iss: provider.issuer,
      aud: "postern",
      sub: "1",
      email: "ada@example.com",
      email_verified: true,
      nonce: asked["nonce"],
      iat: nowS,
      exp: nowS + 300,
    });
    const { privateKey, publicKey } = await generateKeyPair("ES256");
    const jwk = await exportJWK(publicKey);
    const forgeries = [
      (claims: object) => new UnsecuredJWT({ ...claims }).encode(),
      async (claims: object) =>
        await new SignJWT({ ...claims })
          .setProtectedHeader({ alg: "ES256", kid: "one", jwk })
          .sign(privateKey),
      async (claims: object) =>
        await new SignJWT({ ...claims })
          .setProtectedHeader({ alg: "HS256", kid: "one" })
          .sign(new TextEncoder().encode(provider.clientSecret)),
    ];
    for (const forge of forgeries) {
      const asked = await ada.begin("/");
      provider.misbehaviour = { idToken: await forge(claimsFor(asked)) };
      await refused(ada.comeBack(asked), 502, "identity_provider_error");
    }
    provider.misbehaviour = { idToken: "" };
    await refused(ada.signIn(), 502, "identity_provider_error");
  });

  test.each([
    ["is not verified", { email_verified: false }, "has not verified ada@example.com"],
    ["is verified in words", { email_verified: "true" }, "has not verified ada@example.com"],
    ["is another domain's", { email: "ada@evil.example" }, "ada@evil.example is not invited"],
    ["is two", { email: "ada@evil.example,b@example.com" }, "is not invited"],
  ])("by a person whose address %s", async (_what, claims, words) => {
    provider.misbehaviour = { claims };
    await refused(visitor().signIn(), 403, words);
  });

  test("by a person whom this endpoint has not invited", async () => {
    await refused(visitor("strict").signIn(), 403, "ada@example.com is not invited");
  });

  test("where the provider refuses the gateway, or the gateway lacks its secret", async () => {
    provider.misbehaviour = { status: 401 };
    await refused(visitor().signIn(), 502, "the provider says invalid_client");
    provider.misbehaviour = {};
    await refused(visitor("lost-secret").signIn(), 502, "the secret of client_secret");
  });

  test("while the provider is down: the page says so, and a signed-in person goes on", async () => {
    const ada = visitor();
    await ada.signIn();
    const bob = visitor();
    const asked = await bob.begin("/");
    provider.misbehaviour = { isDown: true };
    const told = bob.comeBack(asked);
    await refused(told, 503, "identity_provider_unavailable");
    expect((await told).headers["retry-after"]).toBe("5");
    expect((await ada.go("/json")).status).toBe(200);
  });

  test("by a provider on a private host that the gateway's operator has not named", async () => {
    const before = new Map(provider.asked);
    const answer = await visitor("misled").go("/");
    expect(answer.status).toBe(503);
    expect(answer.text).toContain("identity_provider_unavailable");
    expect(provider.asked).toEqual(before);
  });
});

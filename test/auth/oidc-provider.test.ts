import { describe, expect, test } from "vitest";
import { discoveryUrl, parseOidcProvider } from "../../auth/oidc-provider.ts";

const PROVIDER = {
  issuer: "https://id.example",
  authorization_endpoint: "https://id.example/auth",
  token_endpoint: "https://id.example/token",
  jwks_uri: "https://id.example/jwks",
};

describe("a provider's description", () => {
  test("is read as far as a sign-in needs it", () => {
    const more = {
      userinfo_endpoint: "https://id.example/me",
      token_endpoint_auth_methods_supported: ["client_secret_post"],
      id_token_signing_alg_values_supported: ["ES256"],
      authorization_response_iss_parameter_supported: true,
    };
    const text = JSON.stringify({ ...PROVIDER, ...more, grant_types_supported: ["implicit"] });
    expect(parseOidcProvider(text)).toEqual({ ...PROVIDER, ...more });
    expect(parseOidcProvider(JSON.stringify(PROVIDER))).toEqual(PROVIDER);
  });

  test.each([
    "",
    "null",
    "[]",
    "7",
    ...Object.keys(PROVIDER).map((missing) =>
      JSON.stringify({ ...PROVIDER, [missing]: undefined }),
    ),
    JSON.stringify({ ...PROVIDER, authorization_endpoint: "javascript:alert(1)" }),
    JSON.stringify({ ...PROVIDER, token_endpoint: "/token" }),
    JSON.stringify({ ...PROVIDER, jwks_uri: ["https://id.example/jwks"] }),
  ])("%s is none", (text) => {
    expect(parseOidcProvider(text)).toBeUndefined();
  });

  test("leaves out what is not of the right form", () => {
    const wrong = {
      userinfo_endpoint: 7,
      token_endpoint_auth_methods_supported: "client_secret_post",
      id_token_signing_alg_values_supported: [7],
      authorization_response_iss_parameter_supported: "yes",
    };
    expect(parseOidcProvider(JSON.stringify({ ...PROVIDER, ...wrong }))).toEqual(PROVIDER);
  });
});

test.each([
  ["https://id.example", "https://id.example/.well-known/openid-configuration"],
  ["https://id.example/", "https://id.example/.well-known/openid-configuration"],
  ["https://id.example/realms/a", "https://id.example/realms/a/.well-known/openid-configuration"],
])("%s describes itself at %s", (issuer, url) => {
  expect(discoveryUrl(issuer)).toBe(url);
});

/** The words beside a printed URL for those who may call a private endpoint. */
import { expect, test } from "vitest";
import { callersNeed, urlsOf } from "../../cli/printed-urls.ts";
import type { RunningAgent } from "../../origin-gpu/agent.ts";
import { parseConfig } from "../../origin-gpu/config/config.ts";

const JWT = `jwt = { issuer = "i", audience = "a", jwks_url = "https://id.example/keys" }`;
const OIDC = `oidc = { issuer = "https://id.example", client_id = "c", emails = ["*@example.com"] }`;

/** What is said of an endpoint with this line in its table. */
function said(line: string): string | undefined {
  const text = `app = "a"\n[[endpoint]]\nfunction = "f"\nupstream = "http://127.0.0.1:1"\n${line}`;
  const parsed = parseConfig(text, "/app");
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.problems));
  const agent = { urls: [{ function: "f", url: "http://f.example" }] } as unknown as RunningAgent;
  const [url] = urlsOf(agent, parsed.config);
  return url?.isPrivate === true ? callersNeed(url.auth) : undefined;
}

test.each([
  ["", undefined],
  ["requires_proxy_auth = true", "callers need a proxy token or a connect token"],
  [
    `auth = { ${JWT} }`,
    "callers need a proxy token, a connect token, or a token of the issuer in auth.jwt",
  ],
  [`auth = { ${OIDC} }`, "callers need a proxy token, a connect token, or a sign-in by auth.oidc"],
  [
    `auth = { ${JWT}, ${OIDC} }`,
    "callers need a proxy token, a connect token, a token of the issuer in auth.jwt, or a sign-in by auth.oidc",
  ],
])("%s: %s", (line, expected) => {
  expect(said(line)).toBe(expected);
});

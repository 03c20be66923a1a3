/** An endpoint that trusts another issuer, which publishes its keys on this machine. */
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { exportJWK, generateKeyPair, SignJWT } from "jose";
import { afterAll, beforeAll, expect, test } from "vitest";

import { type Gateway, startUp, webServer } from "../support/harness.ts";
import { send } from "../support/http-client.ts";

const ISSUER = "https://id.example";

let postern: Gateway;
let issuer: Server;
/** What it publishes, and how often it was asked. */
const published = { text: "", asked: 0 };

type PrivateKey = Awaited<ReturnType<typeof newKey>>;

/** A key pair that the issuer publishes from now on, besides what it has published. */
async function newKey(kid: string) {
  const { publicKey, privateKey } = await generateKeyPair("ES256", { extractable: true });
  const { keys = [] } = (published.text === "" ? {} : JSON.parse(published.text)) as {
    keys?: object[];
  };
  keys.push({ ...(await exportJWK(publicKey)), kid, alg: "ES256" });
  published.text = JSON.stringify({ keys });
  return privateKey;
}

const tokenBy = async (key: PrivateKey, kid: string, audience = "chat") =>
  await new SignJWT({ sub: "ada", name: "Jörg" })
    .setProtectedHeader({ alg: "ES256", kid })
    .setIssuer(ISSUER)
    .setAudience(audience)
    .setExpirationTime("1h")
    .sign(key);

const ask = async (functionName: string, token?: string) =>
  await send(postern.address(functionName), "/seen/x", {
    headers: {
      "x-verified-user-data": "root",
      ...(token !== undefined && { authorization: `Bearer ${token}` }),
    },
    timeoutMs: 60_000,
  });

beforeAll(async () => {
  issuer = createServer((_request, response) => {
    published.asked += 1;
    response.end(published.text);
  });
  await new Promise<void>((resolve) => {
    issuer.listen(0, "127.0.0.1", resolve);
  });
  const { port } = issuer.address() as AddressInfo;
  const trust = (host: string) => ({
    jwt: { issuer: ISSUER, audience: "chat", jwks_url: `http://${host}/jwks` },
  });
  postern = await startUp(
    [
      webServer({ function: "trusting", auth: trust(`127.0.0.1:${port}`) }),
      // Nobody has named this host to the gateway.
      { function: "misled", containers_of: "trusting", auth: trust(`127.0.0.2:${port}`) },
    ],
    { flags: ["--identity-hosts", `127.0.0.1:${port}`] },
  );
});
afterAll(async () => {
  await postern.stop();
  issuer.close();
});

test("the issuer's tokens open the endpoint, and the app is told their claims", async () => {
  const key = await newKey("one");
  const token = await tokenBy(key, "one");
  const answer = await ask("trusting", token);
  expect(answer.status).toBe(200);
  const { headers } = answer.json() as { headers: [string, string][] };
  const told = headers.filter(([name]) => name === "x-verified-user-data");
  expect(told).toHaveLength(1);
  expect(JSON.parse(told[0]?.[1] ?? "")).toMatchObject({ sub: "ada", name: "Jörg", iss: ISSUER });
  expect(headers).toContainEqual(["authorization", `Bearer ${token}`]);
  for (let warm = 0; warm < 20; warm += 1) await ask("trusting", token);
  expect(published.asked).toBe(1);
  expect((await ask("trusting", await tokenBy(key, "one", "mail"))).status).toBe(401);
  expect((await ask("trusting")).json()).toMatchObject({ code: "missing_credentials" });
});

test("forged keys' names ask the issuer no more than once in half a minute", async () => {
  const before = published.asked;
  const { privateKey } = await generateKeyPair("ES256");
  for (let forged = 0; forged < 20; forged += 1) {
    const answer = await ask("trusting", await tokenBy(privateKey, `forged-${forged}`));
    expect(answer.json()).toMatchObject({ code: "invalid_credentials" });
  }
  expect(published.asked - before).toBeLessThanOrEqual(1);
});

test("a private host that the gateway's operator has not named is not asked", async () => {
  const before = published.asked;
  const key = await newKey("two");
  const answer = await ask("misled", await tokenBy(key, "two"));
  expect(answer.status).toBe(503);
  expect(answer.json()).toMatchObject({ code: "unavailable" });
  expect(published.asked).toBe(before);
});

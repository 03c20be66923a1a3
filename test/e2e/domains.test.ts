/** Domains of a workspace's own: proved by DNS over HTTPS, served at their names, lapsed when the proof goes. */
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { stringify } from "smol-toml";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";

import type { ApiDomain } from "../../api/domains.ts";
import { FakeIdentityProvider } from "../support/fake-identity-provider.ts";
import { type Gateway, startCommand, startGateway, startUp, upstream } from "../support/harness.ts";
import { type CloudflareApi, startCloudflareApi } from "../support/cloudflare-api.ts";
import { type Address, send } from "../support/http-client.ts";
import type { ManagedProcess } from "../support/processes.ts";
import { startResolver, type Resolver } from "../support/resolver.ts";
import { temporaryDirectory } from "../support/temporary.ts";
import { goesOnTo, Visitor } from "../support/visitor.ts";
import { ClientSocket } from "../support/websocket-client.ts";

const APEX = "example.test";
const WILDCARD = "*.shop.test";
const EXACT = "api.shop.test";

/** A command, a question or an alarm takes its time on a busy machine. */
const SLOW = { timeout: 30_000 };

const directory = temporaryDirectory();
let resolver: Resolver;
let cloudflare: CloudflareApi;
let provider: FakeIdentityProvider;
let app: Server;
let gateway: Gateway;
let box: ManagedProcess;

/** Tells what the app sees; `/slow` takes longer than its clients are held. */
async function startApp(): Promise<number> {
  app = createServer((request, response) => {
    const { host, "x-forwarded-host": forwarded, "x-forwarded-proto": scheme } = request.headers;
    const seen = JSON.stringify({ host, forwarded, scheme, name: request.headers["x-name"] });
    setTimeout(() => response.end(seen), request.url === "/slow" ? 1_500 : 0);
  });
  app.on("upgrade", (request, socket) => {
    socket.end(
      `HTTP/1.1 403 Forbidden\r\nX-Seen-Host: ${request.headers.host}\r\nContent-Length: 0\r\n\r\n`,
    );
  });
  await new Promise<void>((resolve) => {
    app.listen(0, "127.0.0.1", resolve);
  });
  return (app.address() as AddressInfo).port;
}

function gatewayEnv(): NodeJS.ProcessEnv {
  return {
    // Asked about every second, and lapsed after three without a proof.
    POSTERN_DOMAIN_TIMES: "1/3",
    POSTERN_CLOUDFLARE_API: cloudflare.url,
    POSTERN_CLOUDFLARE_ZONE: cloudflare.zone,
    POSTERN_CLOUDFLARE_TOKEN: cloudflare.token,
  };
}

beforeAll(async () => {
  resolver = await startResolver();
  cloudflare = await startCloudflareApi();
  provider = await FakeIdentityProvider.start();
  gateway = await startGateway({
    isFaulty: true,
    flags: ["--dns-over-https", resolver.url, "--identity-hosts", provider.host],
    env: gatewayEnv(),
  });
  box = startCommand(["origin", "--name", "gpu-1", "--state", gateway.stateDirectory]);
  await box.waitForErrorOutput(/gpu-1 is connected/);
  const port = await startApp();
  const { issuer, clientId } = provider;
  const oidc = { issuer, client_id: clientId, emails: ["*@example.com"] };
  const endpoint = [
    upstream(port, { function: "apex", custom_domains: [APEX], cors: true, request_timeout: 0.3 }),
    upstream(port, { function: "wild", custom_domains: [WILDCARD], affinity: ["cookie"] }),
    upstream(port, { function: "exact", custom_domains: [EXACT], auth: { oidc } }),
  ];
  writeFileSync(join(directory, "postern.toml"), stringify({ app: "shop", endpoint }));
});
afterAll(async () => {
  await box.stop();
  await gateway.stop();
  app.closeAllConnections();
  app.close();
  resolver.close();
  provider.stop();
});

async function postern(...args: string[]) {
  return await posternAt(gateway, ...args);
}

async function posternAt({ stateDirectory }: Gateway, ...args: string[]) {
  const managed = startCommand([...args, "--state", stateDirectory], { cwd: directory });
  const { code } = await managed.exited;
  return { code, stdout: managed.stdout, stderr: managed.stderr };
}

const at = (host: string): Address => ({ port: gateway.port, host: `${host}:${gateway.port}` });

async function statusAt(host: string): Promise<number> {
  return (await send(at(host), "/", SLOW_REQUEST)).status;
}

const SLOW_REQUEST = { timeoutMs: 30_000 };

/** Adds a domain and returns its proof's record. */
async function add(domain: string): Promise<ApiDomain["records"][number]> {
  const { stdout } = await postern("domain", "add", domain, "--json");
  const proof = (JSON.parse(stdout) as ApiDomain).records.find(
    ({ purpose }) => purpose === "proof",
  );
  if (proof === undefined) throw new Error(`${domain} has no proof`);
  return proof;
}

async function domains(): Promise<Record<string, string>> {
  const { stdout } = await postern("domain", "list", "--json");
  return Object.fromEntries(
    (JSON.parse(stdout) as ApiDomain[]).map((one) => [one.domain, one.state]),
  );
}

/** The states of these. */
async function domainsAmong(wanted: readonly string[]): Promise<Record<string, string>> {
  const entries = Object.entries(await domains());
  return Object.fromEntries(entries.filter(([domain]) => wanted.includes(domain)));
}

function setRecord({ name, value }: { name: string; value: string }): void {
  resolver.records.set(name, [...(resolver.records.get(name) ?? []), value]);
}

describe("a domain, from its addition to its end", () => {
  let proof: { name: string; value: string };

  test("is refused in a deployment until the workspace has it, and by serve always", async () => {
    const early = await postern("deploy");
    expect([early.code, early.stderr]).toEqual([
      1,
      expect.stringContaining(
        `the workspace has no domain ${APEX}; postern domain add ${APEX} adds it`,
      ),
    ]);
    expect(await postern("serve")).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("endpoint.apex.custom_domains: serve takes none") as string,
    });
  });

  test("is added with the records to set, and serves nothing before DNS has them", async () => {
    const { code, stdout, stderr } = await postern("domain", "add", APEX);
    expect([code, stdout]).toEqual([
      0,
      expect.stringMatching(
        /^TYPE +NAME +VALUE +FOR\nTXT +_postern-challenge\.example\.test +postern-domain=[a-z2-7]{32} +proves that it is yours\nCNAME +example\.test +localhost +brings its clients here\n$/,
      ),
    ]);
    expect(stderr).toContain(`${APEX} is pending`);
    proof = await add(APEX);
    const wildcard = await postern("domain", "add", WILDCARD);
    // A shell would take a bare star for names of files.
    expect(wildcard.stderr).toContain(`postern domain verify '${WILDCARD}'\n`);
    const deployed = await postern("deploy");
    expect([deployed.code, deployed.stderr]).toEqual([
      0,
      expect.stringContaining("serves on gpu-1"),
    ]);
    expect(await statusAt(APEX)).toBe(421);
    expect(await statusAt("x.shop.test")).toBe(421);
    const missing = await postern("domain", "verify", APEX);
    expect([missing.code, missing.stderr]).toEqual([
      1,
      expect.stringContaining(
        `${APEX} is pending: _postern-challenge.${APEX} has no TXT record; it must have ${proof.value}`,
      ),
    ]);
  });

  test("serves when it is verified, over HTTP and with its own name for the app", async () => {
    setRecord(proof);
    expect(await postern("domain", "verify", APEX)).toMatchObject({
      code: 0,
      stderr: expect.stringContaining(`${APEX} is verified`) as string,
    });
    await expect.poll(async () => await statusAt(APEX), SLOW).toBe(200);
    const answer = await send(at(APEX), "/", { headers: { "x-name": "a" }, timeoutMs: 30_000 });
    expect(answer.json()).toMatchObject({
      host: `${APEX}:${gateway.port}`,
      scheme: "http",
      name: "a",
    });
    // Its name below the base domain serves as before.
    expect(await statusAt("tests--shop-apex.localhost")).toBe(200);
    expect(await statusAt(`www.${APEX}`)).toBe(421);
  });

  test("has CORS, redirects and WebSockets as the endpoint's own name has", async () => {
    const headers = { origin: "https://page.example" };
    const slow = await send(at(APEX), "/slow", { headers, ...SLOW_REQUEST });
    expect(slow.status).toBe(303);
    expect(slow.headers["access-control-allow-origin"]).toBe("*");
    const location = String(slow.headers.location);
    expect(location).toMatch(/^\/slow\?__postern_call=/);
    let result = await send(at(APEX), location, SLOW_REQUEST);
    while (result.status === 303) {
      result = await send(at(APEX), String(result.headers.location), SLOW_REQUEST);
    }
    expect(result.json()).toMatchObject({ host: `${APEX}:${gateway.port}` });
    const later = await send(at(APEX), "/slow", {
      headers: { prefer: "respond-async" },
      ...SLOW_REQUEST,
    });
    const { result_url: url } = later.json() as { result_url: string };
    expect(new URL(url).host).toBe(`${APEX}:${gateway.port}`);
    const socket = await ClientSocket.connect(at(APEX), "/");
    expect(socket.response.status).toBe(403);
    expect(
      Object.fromEntries(
        socket.response.headers.map(([name, value]) => [name.toLowerCase(), value]),
      ),
    ).toMatchObject({
      "x-seen-host": `${APEX}:${gateway.port}`,
    });
  });

  test("lapses when its proof is gone for the grace, and serves again when the proof is back", async () => {
    resolver.records.delete(proof.name);
    await expect.poll(async () => await statusAt(APEX), SLOW).toBe(421);
    expect((await domains())[APEX]).toBe("lapsed");
    await expect.poll(() => cloudflare.hostnames.has(APEX), SLOW).toBe(false);
    expect(await statusAt("tests--shop-apex.localhost")).toBe(200);
    setRecord(proof);
    await expect.poll(async () => await statusAt(APEX), SLOW).toBe(200);
    expect((await domains())[APEX]).toBe("verified");
  });

  test("has a custom hostname at Cloudflare, and what that waits for is told", async () => {
    await expect.poll(() => cloudflare.hostnames.get(APEX), SLOW).toBeDefined();
    const waiting = await postern("domain", "verify", APEX);
    expect([waiting.code, waiting.stderr]).toEqual([
      0,
      expect.stringContaining("is verified, and waits: Cloudflare's hostname is pending"),
    ]);
    const hostname = cloudflare.hostnames.get(APEX);
    if (hostname !== undefined) hostname.isActive = true;
    const { stderr } = await postern("domain", "verify", APEX);
    expect(stderr).toMatch(/example\.test is verified$/m);
  });

  test("ends when it is removed, and never before its hostname", async () => {
    cloudflare.failWith(503);
    const refused = await postern("domain", "remove", APEX);
    expect([refused.code, refused.stderr]).toEqual([
      1,
      expect.stringContaining("Cloudflare answered 503 (error 10000); the domain stays"),
    ]);
    expect(await statusAt(APEX)).toBe(200);
    cloudflare.failWith(undefined);
    expect((await postern("domain", "remove", APEX)).code).toBe(0);
    expect(cloudflare.hostnames.has(APEX)).toBe(false);
    expect(gateway.process.stderr).not.toContain(cloudflare.token);
    await expect.poll(async () => await statusAt(APEX), SLOW).toBe(421);
    expect(await domains()).not.toHaveProperty(APEX);
  });
});

test("a wildcard serves every name one label below, but for an endpoint's own exact name", async () => {
  setRecord(await add(WILDCARD));
  expect((await postern("domain", "verify", WILDCARD)).code).toBe(0);
  // One hostname is for a name and its wildcard.
  expect(cloudflare.hostnames.get("shop.test")?.ssl).toMatchObject({ wildcard: true });
  await expect.poll(async () => await statusAt("any.shop.test"), SLOW).toBe(200);
  const other = await send(at("other.shop.test"), "/", SLOW_REQUEST);
  expect(other.json()).toMatchObject({ host: `other.shop.test:${gateway.port}` });
  // The cookie is for the host that sent it alone.
  expect(String(other.headers["set-cookie"])).toMatch(/^postern_affinity=(?!.*domain=)/i);
  expect(await statusAt(EXACT)).toBe(401);
  expect(await statusAt("shop.test")).toBe(421);
  expect(await statusAt("a.b.shop.test")).toBe(421);
});

test("a name and its wildcard that lapse or are removed together leave no hostname at Cloudflare", async () => {
  const both = ["both.test", "*.both.test"];
  const proofs = [];
  for (const domain of both) proofs.push(await add(domain));
  proofs.forEach(setRecord);
  const verified = async () => Object.values(await domainsAmong(both));
  for (const domain of both) expect((await postern("domain", "verify", domain)).code).toBe(0);
  expect(cloudflare.hostnames.get("both.test")?.ssl).toMatchObject({ wildcard: true });
  const hasHostname = () => cloudflare.hostnames.has("both.test");
  for (const { name } of proofs) resolver.records.delete(name);
  await expect.poll(verified, SLOW).toEqual(["lapsed", "lapsed"]);
  await expect.poll(hasHostname, SLOW).toBe(false);
  proofs.forEach(setRecord);
  await expect.poll(verified, SLOW).toEqual(["verified", "verified"]);
  await expect.poll(hasHostname, SLOW).toBe(true);
  const removed = await Promise.all(
    both.map(async (domain) => await postern("domain", "remove", domain)),
  );
  expect(removed.map(({ code }) => code)).toEqual([0, 0]);
  await expect.poll(hasHostname, SLOW).toBe(false);
});

test("people sign in at a domain for this host alone", async () => {
  const ada = new Visitor(at(EXACT), provider);
  const asked = await ada.begin("/page");
  expect(asked["redirect_uri"]).toBe(`http://${EXACT}:${gateway.port}/_postern/signed-in`);
  const back = await ada.comeBack(asked);
  expect(goesOnTo(back)).toBe(`http://${EXACT}:${gateway.port}/page`);
  expect((await ada.go("/page")).json()).toMatchObject({ host: `${EXACT}:${gateway.port}` });
  const { stdout } = await postern("url", "shop", "exact");
  const elsewhere = new Visitor(
    { port: gateway.port, host: new URL(stdout.trim()).host },
    provider,
  );
  for (const [name, value] of ada.cookies) elsewhere.cookies.set(name, value);
  await elsewhere.begin("/page");
});

test("a restarted gateway knows its domains", async () => {
  await gateway.process.kill();
  gateway = await startGateway({
    isFaulty: true,
    port: gateway.port,
    stateDirectory: gateway.stateDirectory,
    flags: ["--dns-over-https", resolver.url, "--identity-hosts", provider.host],
    env: gatewayEnv(),
  });
  await expect.poll(async () => await statusAt("any.shop.test"), SLOW).toBe(200);
});

test("postern up serves at a domain too, once it is verified", async () => {
  const domain = "up.test";
  const { port } = app.address() as AddressInfo;
  const up = await startUp([upstream(port, { custom_domains: [domain] })], {
    flags: ["--dns-over-https", resolver.url],
  });
  onTestFinished(async () => await up.stop());
  const own: Address = { port: up.port, host: `${domain}:${up.port}` };
  expect((await send(own, "/", SLOW_REQUEST)).status).toBe(421);
  const { stdout } = await posternAt(up, "domain", "add", domain, "--json");
  for (const record of (JSON.parse(stdout) as ApiDomain).records) {
    if (record.purpose === "proof") setRecord(record);
  }
  expect((await posternAt(up, "domain", "verify", domain)).code).toBe(0);
  await expect.poll(async () => (await send(own, "/", SLOW_REQUEST)).status, SLOW).toBe(200);
});

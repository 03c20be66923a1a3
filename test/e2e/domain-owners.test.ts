/** A domain that two workspaces want, one in A-label form, and one that leads elsewhere. */
import { readFileSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { stringify } from "smol-toml";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";

import type { ApiDomain } from "../../api/domains.ts";
import { deriveGatewayKeys } from "../../auth/keys.ts";
import { firstApiToken } from "../../auth/tokens.ts";
import { type Gateway, startCommand, startGateway, upstream } from "../support/harness.ts";
import { type Address, send } from "../support/http-client.ts";
import type { ManagedProcess } from "../support/processes.ts";
import { startResolver, type Resolver } from "../support/resolver.ts";
import { temporaryDirectory } from "../support/temporary.ts";

const DOMAIN = "shared.test";
const A_LABEL = "xn--bcher-kva.test";

const SLOW = { timeout: 30_000 };

let resolver: Resolver;
let gateway: Gateway;
let first: Tenant;
let second: Tenant;

/** One workspace: its commands, an app that says whose it is, and a box that serves it. */
class Tenant {
  readonly #env: NodeJS.ProcessEnv;
  readonly #directory = temporaryDirectory();
  readonly #app: Server;
  #box: ManagedProcess | undefined;

  private constructor(workspace: string, env: NodeJS.ProcessEnv) {
    this.#env = env;
    this.#app = createServer((request, response) => {
      response.end(`${workspace} at ${request.headers.host}`);
    });
  }

  static async start(workspace: string): Promise<Tenant> {
    const key = readFileSync(join(gateway.stateDirectory, "key"), "utf8").trim();
    const { id, secret } = await firstApiToken(await deriveGatewayKeys(key), workspace);
    const tenant = new Tenant(workspace, {
      POSTERN_URL: `http://localhost:${gateway.port}`,
      POSTERN_TOKEN_ID: id,
      POSTERN_TOKEN_SECRET: secret,
    });
    await new Promise<void>((resolve) => {
      tenant.#app.listen(0, "127.0.0.1", resolve);
    });
    const state = join(temporaryDirectory(), "state");
    const box = tenant.#start("origin", "--name", "gpu-1", "--state", state);
    await box.waitForErrorOutput(/gpu-1 is connected/);
    tenant.#box = box;
    return tenant;
  }

  /** Serves the app at these domains. */
  async deploy(...domains: string[]): Promise<void> {
    const { port } = this.#app.address() as AddressInfo;
    const endpoint = [upstream(port, { custom_domains: domains })];
    writeFileSync(join(this.#directory, "postern.toml"), stringify({ app: "shop", endpoint }));
    expect(await this.postern("deploy")).toMatchObject({ code: 0 });
  }

  #start(...args: string[]): ManagedProcess {
    return startCommand(args, { cwd: this.#directory, env: this.#env });
  }

  async postern(...args: string[]) {
    const command = this.#start(...args);
    const { code } = await command.exited;
    return { code, stdout: command.stdout, stderr: command.stderr };
  }

  /** Adds a domain and returns its proof's record. */
  async add(domain: string): Promise<ApiDomain["records"][number]> {
    const { stdout } = await this.postern("domain", "add", domain, "--json");
    const { records } = JSON.parse(stdout) as ApiDomain;
    const proof = records.find(({ purpose }) => purpose === "proof");
    if (proof === undefined) throw new Error(`${domain} has no proof`);
    return proof;
  }

  async verify(domain: string) {
    return await this.postern("domain", "verify", domain);
  }

  async domain(wanted: string): Promise<ApiDomain | undefined> {
    const { stdout } = await this.postern("domain", "list", "--json");
    return (JSON.parse(stdout) as ApiDomain[]).find(({ domain }) => domain === wanted);
  }

  async stop(): Promise<void> {
    await this.#box?.stop();
    this.#app.closeAllConnections();
    this.#app.close();
  }
}

beforeAll(async () => {
  resolver = await startResolver();
  gateway = await startGateway({
    isFaulty: true,
    flags: ["--dns-over-https", resolver.url],
    // Asked about every second, and lapsed after three without a proof.
    env: { POSTERN_DOMAIN_TIMES: "1/3" },
  });
  first = await Tenant.start("first");
  second = await Tenant.start("second");
});
afterAll(async () => {
  await Promise.all([first.stop(), second.stop()]);
  await gateway.stop();
  resolver.close();
});

/** The status, and what the app says. */
async function at(host: string): Promise<string> {
  const address: Address = { port: gateway.port, host: `${host}:${gateway.port}` };
  const { status, text } = await send(address, "/", { timeoutMs: SLOW.timeout });
  return status === 200 ? text : `${status}`;
}

const servedBy = (workspace: string, host = DOMAIN) => `${workspace} at ${host}:${gateway.port}`;

describe("a domain that one workspace has proved", () => {
  let proofs: ApiDomain["records"];

  test("is served by that workspace, and no other one takes it without a proof", async () => {
    proofs = [await first.add(DOMAIN), await second.add(DOMAIN)];
    const [own, other] = proofs.map(({ value }) => value);
    expect(own).not.toBe(other);
    for (const tenant of [first, second]) await tenant.deploy(DOMAIN);
    expect(await at(DOMAIN)).toBe("421");
    resolver.records.set(proofs[0]?.name ?? "", [own ?? ""]);
    expect(await first.verify(DOMAIN)).toMatchObject({ code: 0 });
    await expect.poll(async () => await at(DOMAIN), SLOW).toBe(servedBy("first"));
    const refused = await second.verify(DOMAIN);
    expect([refused.code, refused.stderr]).toEqual([
      1,
      expect.stringContaining(`${DOMAIN} is pending: _postern-challenge.${DOMAIN} has other TXT`),
    ]);
    expect(await at(DOMAIN)).toBe(servedBy("first"));
  });

  test("has one spelling: upper case and a trailing dot name it too", async () => {
    for (const spelling of [DOMAIN.toUpperCase(), `${DOMAIN}.`, `${DOMAIN.toUpperCase()}.`]) {
      expect(await at(spelling)).toBe(servedBy("first"));
    }
  });

  test("moves with the other one's proof, and never back by itself", async () => {
    const [own, other] = proofs.map(({ value }) => value);
    resolver.records.set(proofs[0]?.name ?? "", [own ?? "", other ?? ""]);
    expect(await second.verify(DOMAIN)).toMatchObject({ code: 0 });
    await expect.poll(async () => await at(DOMAIN), SLOW).toBe(servedBy("second"));
    await expect.poll(async () => (await first.domain(DOMAIN))?.state, SLOW).toBe("lapsed");
    expect((await first.domain(DOMAIN))?.detail).toContain("another workspace has proved it since");
    // The gateway asks about the lapsed one again, and its record is still there.
    const checkedAt = (await first.domain(DOMAIN))?.checked_at;
    await expect
      .poll(async () => (await first.domain(DOMAIN))?.checked_at, SLOW)
      .not.toBe(checkedAt);
    expect((await first.domain(DOMAIN))?.state).toBe("lapsed");
    expect(await at(DOMAIN)).toBe(servedBy("second"));
    // Its owner may have it back by the same proof.
    expect(await first.verify(DOMAIN)).toMatchObject({ code: 0 });
    await expect.poll(async () => await at(DOMAIN), SLOW).toBe(servedBy("first"));
  });
});

test("a name with other letters than ASCII serves in its A-label form", async () => {
  const refused = await first.postern("domain", "add", "bücher.test");
  expect([refused.code, refused.stderr]).toEqual([
    1,
    expect.stringContaining("write it in its A-label form"),
  ]);
  const { name, value } = await first.add(A_LABEL.toUpperCase());
  expect(name).toBe(`_postern-challenge.${A_LABEL}`);
  await first.deploy(DOMAIN, A_LABEL);
  expect(await at(A_LABEL)).toBe("421");
  resolver.records.set(name, [value]);
  expect(await first.verify(A_LABEL)).toMatchObject({ code: 0 });
  await expect.poll(async () => await at(A_LABEL), SLOW).toBe(servedBy("first", A_LABEL));
  // A client's library makes the A-label of the name that a person types.
  expect(new URL("http://bücher.test").hostname).toBe(A_LABEL);
});

test("an owner is told the gateway's addresses, and where a verified domain leads elsewhere", async () => {
  const [base, domain, address] = ["gw.test", "led.test", "192.0.2.1"];
  const other = await startGateway({ domain: base, flags: ["--dns-over-https", resolver.url] });
  onTestFinished(async () => await other.stop());
  resolver.addresses.set(base, [address]);
  const run = async (...args: string[]) => {
    const command = startCommand([...args, domain, "--state", other.stateDirectory]);
    const { code } = await command.exited;
    return { code, stdout: command.stdout, stderr: command.stderr };
  };
  const { stdout } = await run("domain", "add");
  const [, proof = "", alias = "", host = ""] = stdout.split("\n");
  expect(alias).toMatch(/^CNAME +led\.test +gw\.test +brings its clients here$/);
  expect(host).toMatch(/^A +led\.test +192\.0\.2\.1 +does so where no CNAME can stand$/);
  const [, name = "", value = ""] = proof.split(/ +/);
  resolver.records.set(name, [value]);
  const told = async () => {
    const { code, stderr } = await run("domain", "verify");
    expect(code).toBe(0);
    expect(stderr).toContain(`${domain} is verified`);
    return stderr.split("\n").find((line) => line.includes("Its clients"));
  };
  const why = "Its clients do not come here, unless a proxy of yours brings them: DNS has";
  expect(await told()).toContain(`${why} no address for ${domain}, and ${address} for ${base}.`);
  resolver.addresses.set(domain, ["198.51.100.7"]);
  expect(await told()).toContain(`${why} 198.51.100.7 for ${domain}`);
  resolver.addresses.set(domain, [address]);
  expect(await told()).toBeUndefined();
});

/** What Caddy hears when it asks for a name, with a Worker that says what the test wants. */
import { mkdirSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { beforeEach, expect, onTestFinished, test } from "vitest";
import {
  type CertificateAskOptions,
  startCertificateAsk,
} from "../../../cli/gateway/tls/certificate-ask.ts";
import { CertificateRates } from "../../../cli/gateway/tls/certificate-rates.ts";
import { temporaryDirectory } from "../../support/temporary.ts";

const SECRET = "between-the-two";

/** What the Worker says of each name; others are unserved. */
let known: Record<string, string>;
let asked: string[];
let lines: string[];
let worker: Server;

beforeEach(async () => {
  known = {};
  asked = [];
  lines = [];
  worker = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const { name } = JSON.parse(Buffer.concat(chunks).toString()) as { name: string };
      const { host, "postern-tls-secret": secret } = request.headers;
      asked.push(`${request.method} ${host}${request.url} ${String(secret)} ${name}`);
      if (known[name] !== "silent")
        response.end(JSON.stringify({ name: known[name] ?? "unserved" }));
    });
  });
  await new Promise<void>((resolve) => {
    worker.listen(0, "127.0.0.1", resolve);
  });
  const { port } = worker.address() as AddressInfo;
  onTestFinished(() => {
    worker.closeAllConnections();
    worker.close();
  });
  options = {
    workerdPort: async () => await Promise.resolve(port),
    baseDomain: "gw.test",
    secret: SECRET,
    certificatesPath: join(temporaryDirectory(), "certificates"),
    rates: new CertificateRates(),
    now: () => 0,
    log: (line) => lines.push(line),
  };
});

let options: CertificateAskOptions;

/** Starts to answer; returns Caddy's question. */
async function start(): Promise<(name: string) => Promise<number>> {
  const { url, close } = await startCertificateAsk(options);
  onTestFinished(close);
  return async (name) => (await fetch(`${url}?domain=${encodeURIComponent(name)}`)).status;
}

test("yes for a name that is served, no for any other, and the Worker is asked with the secret", async () => {
  known = { "api.shop.test": "chosen", "x.shop.test": "below_wildcard" };
  const ask = await start();
  expect([await ask("api.shop.test"), await ask("x.shop.test"), await ask("evil.test")]).toEqual([
    200, 200, 404,
  ]);
  expect(asked).toEqual(
    ["api.shop.test", "x.shop.test", "evil.test"].map(
      (name) => `POST gw.test/_postern/certificate-names ${SECRET} ${name}`,
    ),
  );
});

test.each([
  "127.0.0.1",
  "::1",
  "*.shop.test",
  "SHOP.test",
  "localhost",
  "a_b.test",
  "",
  "a/../b.test",
])("%j is no name of a certificate, and nobody is asked", async (name) => {
  const ask = await start();
  expect(await ask(name)).toBe(404);
  expect(asked).toEqual([]);
});

test("a name that has a certificate gets its next one, whatever strangers have used up", async () => {
  const ask = await start();
  const names = Array.from({ length: 21 }, (_, index) => `n${index}.shop.test`);
  known = Object.fromEntries(names.map((name) => [name, "below_wildcard"]));
  const statuses = await Promise.all(names.map(ask));
  expect(statuses.filter((status) => status === 200)).toHaveLength(20);
  const refused = names[statuses.indexOf(429)] as string;
  expect(lines).toEqual([
    `no certificate is asked for ${refused} now: too many new ones, or its last try failed`,
  ]);
  const place = join(options.certificatesPath, "acme.example", refused);
  mkdirSync(place, { recursive: true });
  writeFileSync(join(place, `${refused}.crt`), "");
  expect(await ask(refused)).toBe(200);
  // A lapsed domain has one too, and gets no other.
  delete known[refused];
  expect(await ask(refused)).toBe(404);
});

test("a registry that does not answer is a no for now", async () => {
  known = { "a.test": "unknown" };
  const ask = await start();
  expect(await ask("a.test")).toBe(503);
  worker.close();
  worker.closeAllConnections();
  expect(await ask("a.test")).toBe(503);
});

test("64 questions are asked at a time, and one more is refused at once", async () => {
  known = { "slow.test": "silent" };
  const { url, close } = await startCertificateAsk(options);
  const waiting = Array.from({ length: 64 }, () =>
    fetch(`${url}?domain=slow.test`).catch(() => undefined),
  );
  await expect.poll(() => asked.length, { timeout: 15_000 }).toBe(64);
  expect((await fetch(`${url}?domain=slow.test`)).status).toBe(503);
  expect(asked).toHaveLength(64);
  close();
  await Promise.all(waiting);
});

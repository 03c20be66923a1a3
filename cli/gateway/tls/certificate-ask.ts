/**
 * Answers Caddy's question whether a name may have a certificate (its `ask` endpoint), on a port of loopback. The Worker
 * knows which names are served; this process bounds how many new ones are begun. Everything but a clear yes is a no:
 * Caddy then ends the handshake.
 */

import { existsSync, readdirSync } from "node:fs";
import { createServer, request } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import * as z from "zod";
import { within } from "../../../base/runtime/within.ts";
import { isDomainName, MAX_HOST_LENGTH } from "../../../routing/host.ts";
import type { CertificateRates } from "./certificate-rates.ts";

/** Questions to the Worker at a time. Strangers cause them, by handshakes for any name. */
const MAX_QUESTIONS = 64;

/** Caddy waits 10 s. workerd is started again within that time. */
const TIMEOUT_MS = 5_000;

const ANSWER = z.object({ name: z.enum(["chosen", "below_wildcard", "unserved", "unknown"]) });

export interface CertificateAskOptions {
  /** workerd's own port on 127.0.0.1. Pending while workerd is down. */
  readonly workerdPort: () => Promise<number>;
  readonly baseDomain: string;
  /** The Worker answers those alone that know it. */
  readonly secret: string;
  /** Where Caddy keeps certificates: a folder for each authority, with one for each name. */
  readonly certificatesPath: string;
  readonly rates: CertificateRates;
  /** Of any clock with milliseconds. */
  readonly now: () => number;
  readonly log: (line: string) => void;
}

export interface CertificateAsk {
  /** For Caddy's `ask`. */
  readonly url: string;
  readonly close: () => void;
}

/** Starts to answer. */
export async function startCertificateAsk(options: CertificateAskOptions): Promise<CertificateAsk> {
  let asking = 0;
  const answer = async (target: string): Promise<number> => {
    const name = nameOf(target);
    if (name === undefined) return 404;
    if (asking >= MAX_QUESTIONS) return 503;
    asking += 1;
    try {
      return await statusFor(name, options);
    } finally {
      asking -= 1;
    }
  };
  const server = createServer((incoming, outgoing) => {
    void answer(incoming.url ?? "").then((status) => outgoing.writeHead(status).end());
  });
  const listening = Promise.withResolvers<void>();
  server.once("error", listening.reject);
  server.listen(0, "127.0.0.1", listening.resolve);
  await listening.promise;
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/`,
    close() {
      server.closeAllConnections();
      server.close();
    },
  };
}

/** The name in Caddy's question, `/?domain=<name>`; undefined where no certificate can have it. */
function nameOf(target: string): string | undefined {
  const name = new URLSearchParams(target.slice(target.indexOf("?") + 1)).get("domain");
  if (name === null || name.length > MAX_HOST_LENGTH || !/^[a-z0-9.-]+$/.test(name)) {
    return undefined;
  }
  return isDomainName(name) ? name : undefined;
}

async function statusFor(name: string, options: CertificateAskOptions): Promise<number> {
  const kind = await within(TIMEOUT_MS, askWorker(name, options)).catch(() => undefined);
  if (kind === undefined || kind === "unknown") return 503;
  if (kind === "unserved") return 404;
  // A name with a certificate gets the next one in time, however many others are asked for.
  if (hasCertificate(options.certificatesPath, name)) return 200;
  if (options.rates.admit(name, kind === "below_wildcard", options.now())) return 200;
  options.log(`no certificate is asked for ${name} now: too many new ones, or its last try failed`);
  return 429;
}

/** Caddy's layout: `<authority>/<name>/<name>.crt`. */
function hasCertificate(path: string, name: string): boolean {
  const authorities = existsSync(path) ? readdirSync(path) : [];
  return authorities.some((authority) => existsSync(join(path, authority, name, `${name}.crt`)));
}

async function askWorker(
  name: string,
  { workerdPort, baseDomain, secret }: CertificateAskOptions,
): Promise<z.output<typeof ANSWER>["name"]> {
  const port = await workerdPort();
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const asking = request(
    {
      host: "127.0.0.1",
      port,
      method: "POST",
      path: "/_postern/certificate-names",
      headers: { host: baseDomain, "postern-tls-secret": secret },
      timeout: TIMEOUT_MS,
    },
    (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("end", () => resolve(Buffer.concat(chunks).toString("utf8")));
      response.on("error", reject);
    },
  );
  asking.on("timeout", () => asking.destroy(new Error("workerd does not answer")));
  asking.on("error", reject);
  asking.end(JSON.stringify({ name }));
  return ANSWER.parse(JSON.parse(await promise)).name;
}

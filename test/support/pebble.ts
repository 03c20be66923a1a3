/**
 * Pebble, Let's Encrypt's ACME server for tests: it proves names as a public authority does, on ports and by a name
 * server of the test. It is built once for each checkout (.test/), by the Go of this machine. Run as a program, this
 * builds it and prints its path.
 */
import { execFile } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { request } from "node:https";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import { ManagedProcess } from "./processes.ts";
import { freePort, temporaryDirectory } from "./temporary.ts";

const execute = promisify(execFile);

const PACKAGE = "github.com/letsencrypt/pebble/v2/cmd/pebble@v2.10.3";
const BIN = fileURLToPath(new URL("../../.test/bin", import.meta.url));
const BUILD_TIMEOUT_MS = 10 * 60_000;

export interface PebbleOptions {
  /** Where it reaches the servers whose names it proves. */
  readonly httpPort: number;
  readonly httpsPort: number;
  /** `HOST:PORT` of its name server. */
  readonly nameServer: string;
  /** How long its certificates hold. */
  readonly validityS: number;
}

export interface Pebble {
  /** The ACME directory. */
  readonly url: string;
  /** The file by which its own HTTPS is checked. */
  readonly rootFile: string;
  /** The root of the certificates that it makes, as PEM. */
  readonly issuedRoot: string;
  /** How many certificates it has made. */
  issued(): number;
  stop(): Promise<void>;
}

/** Builds Pebble where that has not been done; returns its path. */
async function ensurePebble(): Promise<string> {
  const file = join(BIN, "pebble");
  if (existsSync(file)) return file;
  mkdirSync(BIN, { recursive: true });
  const env = { ...process.env, GOBIN: BIN };
  await execute("go", ["install", PACKAGE], { env, timeout: BUILD_TIMEOUT_MS });
  return file;
}

export async function startPebble(options: PebbleOptions): Promise<Pebble> {
  const file = await ensurePebble();
  const directory = temporaryDirectory();
  const at = (name: string): string => join(directory, name);
  const subject = ["-subj", "/CN=pebble", "-addext", "subjectAltName=IP:127.0.0.1"];
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1"];
  const files = ["-keyout", at("key.pem"), "-out", at("cert.pem")];
  await execute("openssl", ["req", "-x509", ...key, ...subject, ...files]);
  const [acme, management] = [await freePort(), await freePort()];
  const configuration = {
    listenAddress: `127.0.0.1:${acme}`,
    managementListenAddress: `127.0.0.1:${management}`,
    certificate: at("cert.pem"),
    privateKey: at("key.pem"),
    httpPort: options.httpPort,
    tlsPort: options.httpsPort,
    keyAlgorithm: "ecdsa",
    profiles: { default: { description: "of a test", validityPeriod: options.validityS } },
  };
  writeFileSync(at("pebble.json"), JSON.stringify({ pebble: configuration }));
  const pebble = new ManagedProcess(
    [file, "-config", at("pebble.json"), "-dnsserver", options.nameServer],
    // It waits, refuses nonces and asks for proofs anew at random else, as a hard test of ACME clients.
    {
      env: {
        ...process.env,
        PEBBLE_VA_NOSLEEP: "1",
        PEBBLE_WFE_NONCEREJECT: "0",
        PEBBLE_AUTHZREUSE: "100",
      },
    },
  );
  await pebble.waitForOutput(/ACME directory available/);
  return {
    url: `https://127.0.0.1:${acme}/dir`,
    rootFile: at("cert.pem"),
    issuedRoot: await rootOf(management, readFileSync(at("cert.pem"), "utf8")),
    issued: () => pebble.stdout.match(/Issued certificate serial/g)?.length ?? 0,
    async stop() {
      await pebble.stop("SIGTERM");
    },
  };
}

/** Its port listens a moment after it says so. */
async function rootOf(port: number, ca: string): Promise<string> {
  for (let tries = 0; ; tries += 1) {
    try {
      return await get(port, "/roots/0", ca);
    } catch (error) {
      if (tries === 100) throw error;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

async function get(port: number, path: string, ca: string): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  request({ host: "127.0.0.1", port, path, ca, agent: false }, (response) => {
    let text = "";
    response.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
    response.on("end", () => resolve(text));
  })
    .on("error", reject)
    .end();
  return await promise;
}

if (import.meta.main) console.log(await ensurePebble());

/**
 * HTTPS for a self-hosted gateway: a Caddy in front of it, which this process starts, configures and ends. Caddy makes
 * certificates at the first handshake of a name, and asks before whether the name is served here. Postern itself speaks
 * no TLS.
 */

import { randomBytes } from "node:crypto";
import { copyFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import type { Observer } from "../../../base/observer.ts";
import { makePrivateDirectory, writing } from "../../directory-lock.ts";
import { codeOf, CommandFailure, reasonOf } from "../../failure.ts";
import { writePrivate } from "../../private-file.ts";
import { type Caddy, CaddyFailure, findCaddy, startCaddy } from "./caddy-process.ts";
import { noticeOfVersion } from "./caddy-version.ts";
import { caddyfile, ROOT_FILE } from "./caddyfile.ts";
import { type CertificateAsk, startCertificateAsk } from "./certificate-ask.ts";
import { CertificateRates } from "./certificate-rates.ts";
import type { TlsSettings } from "./tls-settings.ts";

/** Variables of the operator's that Caddy gets: how it reaches the authority, and whom it believes. */
const PASSED_VARIABLES = [
  "PATH",
  "HTTP_PROXY",
  "HTTPS_PROXY",
  "NO_PROXY",
  "SSL_CERT_DIR",
  "SSL_CERT_FILE",
] as const;

export interface TlsOptions {
  readonly settings: TlsSettings;
  readonly baseDomain: string;
  /** The gateway's own port on 127.0.0.1. */
  readonly gatewayPort: number;
  readonly workerdPort: () => Promise<number>;
  /** The state directory, and the folder in it for files of this run. */
  readonly statePath: string;
  readonly runPath: string;
  readonly graceMs: number;
  readonly observer: Observer;
}

export interface Tls {
  /** The Worker's variables with which it answers this process. */
  readonly variables: Readonly<Record<string, string>>;
  /** Takes no new clients; resolves when the last response has ended, or after the grace. */
  drain(): Promise<void>;
  kill(): void;
}

/** Caddy's executable. @throws {CommandFailure} where there is none */
function installedCaddy(): string {
  const file = findCaddy(process.env["PATH"] ?? "");
  if (file !== undefined) return file;
  throw new CommandFailure(
    "--tls needs caddy, and PATH has none; install it (apt-get install caddy, or caddyserver.com)",
  );
}

/** Starts Caddy. @throws {CommandFailure} that says in one line why it can't */
export async function startTls(options: TlsOptions): Promise<Tls> {
  const { settings, baseDomain, statePath, runPath, observer } = options;
  const file = installedCaddy();
  const secret = randomBytes(32).toString("base64url");
  const ask = await startCertificateAsk({
    workerdPort: options.workerdPort,
    baseDomain,
    secret,
    certificatesPath: join(statePath, "caddy", "certificates"),
    rates: new CertificateRates(),
    now: () => performance.now(),
    log: observer.notice,
  });
  try {
    const configPath = writeConfiguration(options, ask.url);
    const caddy = await startCaddy({
      file,
      configPath,
      directory: runPath,
      environment: environmentOf(statePath, runPath),
      observer,
    });
    const old = await noticeOfVersion(file);
    if (old !== undefined) observer.notice(old);
    return { variables: { POSTERN_TLS_SECRET: secret }, ...endings(caddy, ask) };
  } catch (error) {
    ask.close();
    throw error instanceof CaddyFailure ? await startFailure(error, settings) : error;
  }
}

function endings(caddy: Caddy, ask: CertificateAsk): Pick<Tls, "drain" | "kill"> {
  return {
    async drain() {
      await caddy.drain();
      ask.close();
    },
    kill() {
      caddy.kill();
      ask.close();
    },
  };
}

function writeConfiguration(options: TlsOptions, askUrl: string): string {
  const { settings, baseDomain, gatewayPort, statePath, runPath, graceMs } = options;
  const path = join(runPath, "Caddyfile");
  const graceS = graceMs / 1_000;
  const text = caddyfile({ settings, baseDomain, gatewayPort, askUrl, graceS });
  if (settings.acmeCaRoot !== undefined) {
    try {
      copyFileSync(settings.acmeCaRoot, join(runPath, ROOT_FILE));
    } catch (error) {
      throw new CommandFailure(
        `--acme-ca-root: can't copy ${settings.acmeCaRoot}: ${reasonOf(error)}`,
      );
    }
  }
  writing(statePath, () => {
    makePrivateDirectory(join(statePath, "caddy"));
    writePrivate(path, text);
  });
  return path;
}

/** Caddy puts `caddy/` below both directories: certificates and accounts into the first one. */
function environmentOf(statePath: string, runPath: string): Record<string, string> {
  const environment: Record<string, string> = { HOME: statePath };
  for (const name of PASSED_VARIABLES) {
    const value = process.env[name];
    if (value !== undefined) environment[name] = value;
  }
  return { ...environment, XDG_DATA_HOME: statePath, XDG_CONFIG_HOME: runPath };
}

/** Says why Caddy did not start. Its ports are tried here, since Caddy tells the reason in words alone. */
async function startFailure(error: CaddyFailure, settings: TlsSettings): Promise<CommandFailure> {
  const { host, httpPort, httpsPort } = settings;
  for (const [port, flag] of [
    [httpsPort, "--https-port"],
    [httpPort, "--http-port"],
  ] as const) {
    const code = await codeOfListening(port, host);
    if (code === "EADDRINUSE") {
      return new CommandFailure(`port ${port} is already taken; choose another with ${flag}`);
    }
    if (code === "EACCES" || code === "EPERM") {
      return new CommandFailure(
        `port ${port} needs privileges: allow caddy to take it (setcap cap_net_bind_service=+ep ` +
          `"$(command -v caddy)"), or choose one above 1023 with ${flag}`,
      );
    }
    if (code === "EADDRNOTAVAIL") {
      return new CommandFailure(`${host} is not an address of this machine; choose another --host`);
    }
  }
  return new CommandFailure(error.message);
}

/** The code of the error with which nobody can listen there; undefined where this process can. */
async function codeOfListening(
  port: number,
  host: string | undefined,
): Promise<string | undefined> {
  const server = createServer();
  const { promise, resolve } = Promise.withResolvers<string | undefined>();
  server.once("error", (error) => resolve(codeOf(error) ?? "unknown"));
  server.listen({ port, host }, () => resolve(undefined));
  const code = await promise;
  server.close();
  return code;
}

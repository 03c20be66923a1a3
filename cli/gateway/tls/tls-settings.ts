/** The settings of `--tls`: HTTPS by a Caddy that the gateway starts. Each that can't be meant is refused. */

import { resolve } from "node:path";
import { isDomainName } from "../../../routing/host.ts";
import type { Options } from "../../arguments.ts";
import { UsageError } from "../../failure.ts";

export interface TlsSettings {
  /** The address that Caddy listens on; undefined: every one of the machine's. */
  readonly host: string | undefined;
  readonly httpPort: number;
  readonly httpsPort: number;
  /** URL of the ACME directory; undefined: Caddy's own choice of authorities. */
  readonly acmeCa: string | undefined;
  /** Absolute path of a PEM file with which that URL's certificate is checked. */
  readonly acmeCaRoot: string | undefined;
  readonly acmeEmail: string | undefined;
  /** Proxies in front of Caddy whose word on the client counts. */
  readonly trustedProxies: readonly string[];
}

/** The names are those of Caddy's own options. */
export const TLS_OPTIONS = {
  tls: {
    type: "boolean",
    summary: "HTTPS for the base domain, endpoints and custom domains, by the caddy on PATH",
  },
  "https-port": {
    type: "string",
    value: "PORT",
    summary: "with --tls, where to listen (443, or the base domain's port)",
  },
  "http-port": {
    type: "string",
    value: "PORT",
    summary: "with --tls, where plain HTTP is sent to HTTPS (80)",
  },
  "acme-ca": {
    type: "string",
    value: "URL",
    summary: "with --tls, the authority's ACME directory (Let's Encrypt's)",
  },
  "acme-ca-root": {
    type: "string",
    value: "FILE",
    summary: "with --tls, the root certificate of a private authority's own HTTPS",
  },
  "acme-email": {
    type: "string",
    value: "ADDRESS",
    summary: "with --tls, where the authority sends its warnings (none)",
  },
} as const satisfies Options;

type Name = keyof typeof TLS_OPTIONS;
export type TlsFlags = { readonly [K in Exclude<Name, "tls">]?: string } & {
  readonly tls?: boolean;
};

interface Around {
  /** The flag's value alone. */
  readonly host: string | undefined;
  readonly baseDomain: string | undefined;
  readonly trustedProxies: string;
}

/** Reads the flags; undefined without `--tls`. @throws {UsageError} for the first value that can't be meant */
export function tlsSettings(flags: TlsFlags, around: Around): TlsSettings | undefined {
  if (flags.tls !== true) {
    const names = Object.keys(TLS_OPTIONS) as Name[];
    const alone = names.find((name) => name !== "tls" && flags[name] !== undefined);
    if (alone !== undefined) throw new UsageError(`--${alone} has no meaning without --tls`);
    return undefined;
  }
  const { host, baseDomain, trustedProxies } = around;
  const [name = "", port = "443"] = baseDomain?.split(":") ?? [];
  if (!isDomainName(name) || name.endsWith(".localhost")) {
    throw new UsageError(
      "--tls needs a public name in --base-domain, e.g. --base-domain example.com",
    );
  }
  const httpsPort = portOf("https-port", flags["https-port"] ?? port);
  const httpPort = portOf("http-port", flags["http-port"] ?? "80");
  if (httpsPort === httpPort) {
    throw new UsageError(`--http-port: "${httpPort}" is the port of --https-port too`);
  }
  const root = flags["acme-ca-root"];
  return {
    host: host === "localhost" ? "127.0.0.1" : host,
    httpPort,
    httpsPort,
    acmeCa: check("acme-ca", flags["acme-ca"], isDirectoryUrl, "an https URL without a query"),
    acmeCaRoot: root === undefined ? undefined : resolve(root),
    acmeEmail: check("acme-email", flags["acme-email"], isEmail, "a mail address"),
    trustedProxies: trustedProxies.split(/[\s,]+/).filter((block) => block !== ""),
  };
}

function check(
  flag: Name,
  value: string | undefined,
  isRight: (value: string) => boolean,
  expected: string,
): string | undefined {
  if (value === undefined || isRight(value)) return value;
  throw new UsageError(`--${flag}: "${value}" is not ${expected}`);
}

function portOf(flag: Name, value: string): number {
  if (/^\d{1,5}$/.test(value) && Number(value) >= 1 && Number(value) <= 65_535) {
    return Number(value);
  }
  throw new UsageError(`--${flag}: "${value}" is not a port number from 1 to 65535`);
}

/** Only characters that mean nothing in a Caddyfile. */
function isDirectoryUrl(value: string): boolean {
  return /^https:\/\/[\w.:[\]-]+(?:\/[\w./~-]*)?$/.test(value) && URL.canParse(value);
}

function isEmail(value: string): boolean {
  return /^[\w.+-]+@[\w-]+(?:\.[\w-]+)+$/.test(value);
}

/**
 * The gateway's settings, in one table: flag, variable, default and check of each. A flag wins over its variable. No
 * value is clamped: one that can't be meant is refused, with the flag or variable that it came from.
 */

import { isIP } from "node:net";
import { resolve } from "node:path";
import { isObjectName } from "../../routing/names.ts";
import { isRate } from "../../routing/wire/rate.ts";
import { parseTrustedProxies } from "../../routing/trusted-proxies.ts";
import type { Options } from "../arguments.ts";
import { UsageError } from "../failure.ts";
import { TLS_OPTIONS, type TlsFlags, type TlsSettings, tlsSettings } from "./tls/tls-settings.ts";

export interface GatewaySettings {
  readonly host: string;
  /** 0 lets the system choose. */
  readonly port: number;
  /** Absolute path of the state directory. */
  readonly state: string;
  /** Undefined: `localhost:<port>` once the port is known. */
  readonly baseDomain: string | undefined;
  /** The workspace whose first token the gateway keeps in its state directory. */
  readonly workspace: string;
  readonly log: "json" | "off";
  /** Whether the TCP front stands before workerd. `auto`: where strangers connect without a proxy. */
  readonly front: FrontSetting;
  /** HTTPS by a Caddy in front; undefined without `--tls`. */
  readonly tls: TlsSettings | undefined;
  /** The Worker's variables by name, in the form that it reads. */
  readonly variables: Readonly<Record<string, string>>;
}

const FRONT_SETTINGS = ["always", "auto", "never"] as const;
type FrontSetting = (typeof FRONT_SETTINGS)[number];

export const DEFAULT_STATE = "./.postern";

const DEFAULT_WORKSPACE = "local";

/** The flags of `up` and `gateway`. */
export const GATEWAY_OPTIONS = {
  port: { type: "string", value: "PORT", summary: "where to listen (8787)" },
  host: {
    type: "string",
    value: "ADDRESS",
    summary: "the address to listen on (127.0.0.1; with --tls, all)",
  },
  state: { type: "string", value: "DIRECTORY", summary: `where state is kept (${DEFAULT_STATE})` },
  "base-domain": {
    type: "string",
    value: "DOMAIN",
    summary: "the domain above the endpoints' names (localhost:<port>)",
  },
  "request-timeout": {
    type: "string",
    value: "SECONDS",
    summary: "until a slow request is sent to its result URL (150)",
  },
  "rate-limit": {
    type: "string",
    value: "N/S",
    summary: "requests a second of a workspace, and seconds of burst; 0: no limit (200/5)",
  },
  "max-body": { type: "string", value: "BYTES", summary: "largest request body (4 GiB)" },
  "trusted-proxies": {
    type: "string",
    value: "CIDR,...",
    summary: "proxies in front whose word on the client's address counts (none)",
  },
  "identity-hosts": {
    type: "string",
    value: "HOST:PORT,...",
    summary: "private hosts of identity providers that it may ask (none)",
  },
  region: {
    type: "string",
    value: "REGION",
    summary: "where it stands, e.g. eu-west: boxes near it come first",
  },
  front: {
    type: "string",
    value: "always|auto|never",
    summary: "a TCP front that limits connections; auto: where strangers need no proxy (auto)",
  },
  "dns-over-https": {
    type: "string",
    value: "URL",
    summary: "the resolver that custom domains are proved by (Cloudflare's public one)",
  },
  log: {
    type: "string",
    value: "json|off",
    summary: "stderr as lines of JSON, one for each event and request (off)",
  },
  ...TLS_OPTIONS,
} as const satisfies Options;

type FlagName = Exclude<keyof typeof GATEWAY_OPTIONS, "tls">;
export type GatewayFlags = { readonly [K in FlagName]?: string } & TlsFlags;
type Environment = Readonly<Record<string, string | undefined>>;

/** Settings that pass through to the Worker: flag, variable, default, and the check of a value. */
const VARIABLES: readonly {
  readonly flag: FlagName;
  readonly variable: string;
  readonly fallback: string;
  /** The description of a right value; undefined when this one is right. */
  readonly expected: (value: string) => string | undefined;
}[] = [
  {
    flag: "request-timeout",
    variable: "POSTERN_REQUEST_TIMEOUT",
    fallback: "150",
    expected: (value) =>
      isDecimal(value) && Number(value) > 0 ? undefined : "seconds above 0, e.g. 150 or 2.5",
  },
  {
    flag: "rate-limit",
    variable: "POSTERN_RATE_LIMIT",
    fallback: "200/5",
    expected: (value) =>
      value === "0" || isRate(value)
        ? undefined
        : "0, or requests a second and seconds of burst, e.g. 200/5",
  },
  {
    flag: "max-body",
    variable: "POSTERN_MAX_BODY",
    fallback: String(4 * 1024 ** 3),
    expected: (value) =>
      /^\d+$/.test(value) && Number.isSafeInteger(Number(value))
        ? undefined
        : "a whole number of bytes, e.g. 104857600",
  },
  {
    flag: "region",
    variable: "POSTERN_REGION",
    fallback: "",
    expected: (value) =>
      /^[a-z0-9-]{0,64}$/.test(value) ? undefined : 'up to 64 of a-z, digits and "-", e.g. eu-west',
  },
  {
    flag: "identity-hosts",
    variable: "POSTERN_IDENTITY_HOSTS",
    fallback: "",
    expected: (value) =>
      value === "" || value.split(",").every(isIdentityHost)
        ? undefined
        : "a list of hosts in lower case, with ports where they are not the scheme's own, e.g. id.lan,10.0.0.5:8080",
  },
  {
    flag: "dns-over-https",
    variable: "POSTERN_DNS_OVER_HTTPS",
    fallback: "",
    expected: (value) =>
      value === "" || isResolver(value)
        ? undefined
        : "an https URL, or an http one of this machine, e.g. https://dns.example/dns-query",
  },
  {
    flag: "trusted-proxies",
    variable: "POSTERN_TRUSTED_PROXIES",
    fallback: "",
    expected: (value) => {
      const proxies = parseTrustedProxies(value);
      return proxies.ok
        ? undefined
        : `a list of addresses and blocks, e.g. 127.0.0.1,10.0.0.0/8 (${JSON.stringify(proxies.error)} is neither)`;
    },
  },
];

/** Reads flags and environment. @throws {UsageError} for the first value that can't be meant */
export function gatewaySettings(flags: GatewayFlags, environment: Environment): GatewaySettings {
  const variables: Record<string, string> = {};
  for (const { flag, variable, fallback, expected } of VARIABLES) {
    const { value, source } = pick(flags[flag], flag, environment[variable], variable, fallback);
    const right = expected(value);
    if (right !== undefined) throw new UsageError(`${source}: "${value}" is not ${right}`);
    variables[variable] = value;
  }
  const domain = pick(
    flags["base-domain"],
    "base-domain",
    environment["POSTERN_BASE_DOMAIN"],
    "POSTERN_BASE_DOMAIN",
    "",
  );
  if (domain.value !== "" && !isBaseDomain(domain.value)) {
    throw new UsageError(
      `${domain.source}: "${domain.value}" is not a domain, with its port where one is needed, ` +
        "e.g. example.com or localhost:8787",
    );
  }
  const host = flags.host === undefined ? undefined : hostOf(flags.host);
  const trustedProxies = variables["POSTERN_TRUSTED_PROXIES"] ?? "";
  const tls = tlsSettings(flags, { host, baseDomain: domain.value || undefined, trustedProxies });
  if (tls !== undefined) variables["POSTERN_TRUSTED_PROXIES"] = behindCaddy(trustedProxies);
  return {
    // Behind Caddy strangers do not connect to the gateway itself.
    host: tls === undefined ? (host ?? "127.0.0.1") : "127.0.0.1",
    port: portOf(flags.port ?? "8787"),
    state: resolve(flags.state ?? DEFAULT_STATE),
    baseDomain: domain.value === "" ? undefined : domain.value.toLowerCase(),
    workspace: workspaceOf(environment["POSTERN_WORKSPACE"] || DEFAULT_WORKSPACE),
    log: logOf(pick(flags.log, "log", environment["POSTERN_LOG"], "POSTERN_LOG", "off")),
    front: frontOf(
      pick(flags.front, "front", environment["POSTERN_FRONT"], "POSTERN_FRONT", "auto"),
    ),
    tls,
    variables,
  };
}

/** Caddy runs here, and its word on its clients counts. */
function behindCaddy(trustedProxies: string): string {
  return trustedProxies === "" ? "127.0.0.1" : `127.0.0.1,${trustedProxies}`;
}

interface Picked {
  readonly value: string;
  /** The flag or the variable, for messages. */
  readonly source: string;
}

function pick(
  flagValue: string | undefined,
  flag: string,
  variableValue: string | undefined,
  variable: string,
  fallback: string,
): Picked {
  if (flagValue !== undefined) return { value: flagValue, source: `--${flag}` };
  if (variableValue !== undefined && variableValue !== "") {
    return { value: variableValue, source: variable };
  }
  return { value: fallback, source: `--${flag}` };
}

function workspaceOf(value: string): string {
  if (isObjectName(value)) return value;
  throw new UsageError(
    `POSTERN_WORKSPACE: "${value}" is not 1 to 64 ASCII letters, digits, "-", "." and "_"`,
  );
}

function portOf(value: string): number {
  if (/^\d{1,5}$/.test(value) && Number(value) <= 65_535) return Number(value);
  throw new UsageError(`--port: "${value}" is not a port number from 0 to 65535`);
}

function hostOf(value: string): string {
  if (value === "localhost" || isIP(value) !== 0) return value;
  throw new UsageError(`--host: "${value}" is not an IP address of this machine, e.g. 0.0.0.0`);
}

function logOf({ value, source }: Picked): "json" | "off" {
  if (value === "json" || value === "off") return value;
  throw new UsageError(`${source}: "${value}" is neither json nor off`);
}

function frontOf({ value, source }: Picked): FrontSetting {
  const setting = FRONT_SETTINGS.find((one) => one === value);
  if (setting !== undefined) return setting;
  throw new UsageError(`${source}: "${value}" is none of ${FRONT_SETTINGS.join(", ")}`);
}

function isDecimal(value: string): boolean {
  return /^\d+(?:\.\d+)?$/.test(value);
}

/** A host as URLs spell it, with its port. */
function isIdentityHost(value: string): boolean {
  const text = `https://${value}/`;
  return URL.canParse(text) && new URL(text).host === value;
}

/** RFC 8484 is HTTPS. Within this machine nobody can read or change what is said. */
function isResolver(value: string): boolean {
  if (!URL.canParse(value)) return false;
  const { protocol, hostname, username, password, hash } = new URL(value);
  const isHere = /^(?:127\.\d+\.\d+\.\d+|\[::1\]|localhost)$/.test(hostname);
  const isPlain = username === "" && password === "" && hash === "";
  return isPlain && (protocol === "https:" || (protocol === "http:" && isHere));
}

/** A DNS name of letters, digits and inner dashes (RFC 1123, 2.1), and a port where one is given. */
function isBaseDomain(value: string): boolean {
  const match = /^([^:]+)(?::(\d{1,5}))?$/.exec(value);
  const [, name, port] = match ?? [];
  if (name === undefined || name.length > 189 || Number(port ?? 1) > 65_535) return false;
  return name.split(".").every((label) => /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/i.test(label));
}

/** The Worker's bindings and variables (contract, "Gateway settings"), and how they are read, once. */
import { DOMAIN_TIMES, type DomainTimes } from "../../routing/domain-states.ts";
import type { LinkRpc } from "./link.ts";
import type { MeterRpc } from "./meter.ts";
import type { NamesRpc } from "./names.ts";
import type { WorkspaceRpc } from "./workspace.ts";

export interface Env {
  NAMES: DurableObjectNamespace<NamesRpc>;
  ORIGIN: DurableObjectNamespace<LinkRpc>;
  WORKSPACE: DurableObjectNamespace<WorkspaceRpc>;
  METER: DurableObjectNamespace<MeterRpc>;
  /** Where endpoints live, with the port where it is not the scheme's own: `localhost:8787`. */
  POSTERN_BASE_DOMAIN: string;
  /** Seconds that a client waits for response headers before it is redirected; fractions allowed. */
  POSTERN_REQUEST_TIMEOUT?: string;
  /** Each workspace's rate limit (routing/wire/rate.ts); "0": none. */
  POSTERN_RATE_LIMIT?: string;
  /** Bytes of a request body; beyond it 413. */
  POSTERN_MAX_BODY?: string;
  /** The one secret that all keys are derived from: 32 bytes in unpadded base64url (auth/keys.ts). */
  POSTERN_KEY?: string;
  /** Set where the TCP front stands before workerd: what it proves itself with when it announces an address. */
  POSTERN_FRONT_SECRET?: string;
  /** Set where the system lists connections: with it the runner tells which of them have ended, or are half closed. */
  POSTERN_WATCH_SECRET?: string;
  /** Set with it: requests of clients elsewhere that may wait at a time (worker/edge/waiting-requests.ts). */
  POSTERN_MAX_WAITING?: string;
  /** Self-hosted: connections of clients for which there is room (worker/edge/workspace-room.ts). */
  POSTERN_MAX_CONNECTIONS?: string;
  /** Set where the runner has started a TLS proxy: what it asks with which names get a certificate. */
  POSTERN_TLS_SECRET?: string;
  /** Addresses and blocks of proxies whose word about the client counts (routing/trusted-proxies.ts). */
  POSTERN_TRUSTED_PROXIES?: string;
  /** Private hosts of identity providers, with ports: the gateway may ask these besides public ones. */
  POSTERN_IDENTITY_HOSTS?: string;
  /** Self-hosted: the network on which those hosts are. */
  IDENTITY_NETWORK?: Fetcher;
  /** The gateway's region, such as `eu-west-1`: boxes near it come first. Empty: where Cloudflare says. */
  POSTERN_REGION?: string;
  /** "json": each event is a line of JSON on the console, requests included. */
  POSTERN_LOG?: string;
  /** Topics whose details are written (base/observer.ts). */
  POSTERN_DEBUG?: string;
  /** "1": Worker and objects run in one isolate, and calls may pass by memory (contracts/local-queue.ts). */
  POSTERN_ONE_ISOLATE?: string;
  /** Seconds of a box's lease on its shares of pools, for tests. */
  POSTERN_POOL_LEASE?: string;
  /** URL of the resolver that proofs of custom domains are asked from (RFC 8484). */
  POSTERN_DNS_OVER_HTTPS?: string;
  /** Seconds between two questions about a domain, and of grace for its proof, `21600/259200`, for tests. */
  POSTERN_DOMAIN_TIMES?: string;
  /** On Cloudflare: the zone whose custom hostnames serve custom domains, and an API token that may edit them. */
  POSTERN_CLOUDFLARE_ZONE?: string;
  POSTERN_CLOUDFLARE_TOKEN?: string;
  /** The base URL of Cloudflare's API, for tests. */
  POSTERN_CLOUDFLARE_API?: string;
  /** Self-hosted: what may reach a resolver in the operator's own network. */
  RESOLVER?: Fetcher;
}

const DEFAULT_MAX_BODY_BYTES = 4 * 1024 ** 3;

/** Modal's limit. */
const DEFAULT_REQUEST_TIMEOUT_S = 150;

/** Modal's limit. */
const DEFAULT_RATE_LIMIT = "200/5";

/** A box that is lost frees its shares after so long, and a box that is there asks twice a minute. */
const DEFAULT_POOL_LEASE_S = 60;

/** When domains are asked about again, and for how long a proof may be gone. */
export function domainTimes({ POSTERN_DOMAIN_TIMES: text }: Env): DomainTimes {
  const [interval, grace] = text ? text.split("/").map((seconds) => Number(seconds) * 1_000) : [];
  return {
    intervalMs: interval ?? DOMAIN_TIMES.intervalMs,
    graceMs: grace ?? DOMAIN_TIMES.graceMs,
  };
}

/** Milliseconds for which a box has its shares of pools. */
export function poolLeaseMs({ POSTERN_POOL_LEASE: seconds }: Env): number {
  return Number(seconds || DEFAULT_POOL_LEASE_S) * 1000;
}

/** Milliseconds from the last byte of a request's body until it is answered with a redirect. */
export function requestTimeoutMs(env: Env): number {
  const text = env.POSTERN_REQUEST_TIMEOUT;
  const seconds = text === undefined || text === "" ? DEFAULT_REQUEST_TIMEOUT_S : Number(text);
  return Math.round(seconds * 1000);
}

/** A workspace's rate limit as its setting writes it; "0": none. */
export function workspaceRate({ POSTERN_RATE_LIMIT: text }: Env): string {
  return text === undefined || text === "" ? DEFAULT_RATE_LIMIT : text;
}

/** Bytes of a request body that are accepted. */
export function maxBodyBytes(env: Env): number {
  const text = env.POSTERN_MAX_BODY;
  return text === undefined || text === "" ? DEFAULT_MAX_BODY_BYTES : Number(text);
}

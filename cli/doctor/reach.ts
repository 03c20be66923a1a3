/** The way to the server: its name, its port, its certificate. */
import { lookup } from "node:dns/promises";
import { connect as connectTcp, isIP } from "node:net";
import { connect as connectTls, type PeerCertificate } from "node:tls";
import type { Server } from "./exchange.ts";
import { failed, type Finding, ok, warning } from "./finding.ts";

const CONNECT_TIMEOUT_MS = 10_000;
const DAY_MS = 86_400_000;

/** A certificate that ends so soon is not renewed by itself. */
const EXPIRES_SOON_MS = 7 * DAY_MS;

/** The remedies of what a TLS client says of a certificate. */
const CERTIFICATES: Readonly<Record<string, string>> = {
  CERT_HAS_EXPIRED:
    "renew it; Caddy and certbot do that by themselves where port 80 or 443 reaches them",
  CERT_NOT_YET_VALID: "compare this machine's clock with the time: the certificate begins later",
  DEPTH_ZERO_SELF_SIGNED_CERT:
    "get one of a public authority, for instance by Caddy; clients refuse a self-signed one",
  SELF_SIGNED_CERT_IN_CHAIN:
    "a proxy in between signs with its own authority: trust that, or go around it",
  UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    "the server leaves out its intermediate certificate: give it the full chain",
  ERR_TLS_CERT_ALTNAME_INVALID:
    "get one for this name; endpoints need a wildcard for the base domain, *.example.com",
};

/** The name's address; undefined where it has none, and a finding in either case. */
export async function resolveServer(url: URL): Promise<{ finding: Finding; server?: Server }> {
  const host = url.hostname.replace(/^\[|\]$/g, "");
  const given = isIP(host);
  if (given === 4 || given === 6) {
    return {
      finding: ok("dns", `${host} is an address`),
      server: { url, address: host, family: given },
    };
  }
  try {
    const { address, family } = await lookup(host);
    return {
      finding: ok("dns", `${host} is ${address}`),
      server: { url, address, family: family === 6 ? 6 : 4 },
    };
  } catch (error) {
    if (host.endsWith(".localhost")) {
      const remedy = `browsers know it; for other programs add "127.0.0.1 ${host}" to /etc/hosts, or install libnss-myhostname`;
      return {
        finding: warning("dns", "this machine does not resolve names under localhost", remedy),
        server: { url, address: "127.0.0.1", family: 4 },
      };
    }
    const { code = "" } = error as NodeJS.ErrnoException;
    const remedy =
      "add an A or CNAME record for it, and for a whole base domain one for *; compare it with `postern url`";
    return { finding: failed("dns", `${host} has no address (${code})`, remedy) };
  }
}

/** Whether the port takes connections. */
export async function checkPort({ url, address }: Server): Promise<Finding> {
  const port = portOf(url);
  const problem = await connectionProblem(address, port);
  if (problem === undefined) return ok("port", `${address}:${port} takes connections`);
  const remedy =
    problem === "ECONNREFUSED"
      ? "start the gateway, or what stands in front of it, on this port"
      : "let this port through firewalls and routers on the way";
  return failed("port", `${address}:${port} takes no connection (${problem})`, remedy);
}

/** The code of what keeps a connection from being made; undefined where it is made. */
export async function connectionProblem(
  address: string,
  port: number,
  timeoutMs = CONNECT_TIMEOUT_MS,
): Promise<string | undefined> {
  return await new Promise((settle) => {
    const socket = connectTcp({ host: address, port, timeout: timeoutMs });
    const end = (problem?: string): void => {
      socket.destroy();
      settle(problem);
    };
    socket.once("connect", () => end());
    socket.once("timeout", () => end("timeout"));
    socket.once("error", (error: NodeJS.ErrnoException) => end(error.code ?? error.message));
  });
}

/** The certificate as a client judges it. */
export async function checkCertificate({ url, address }: Server, now: number): Promise<Finding> {
  const servername = url.hostname;
  return await new Promise((settle) => {
    const socket = connectTls({
      host: address,
      port: portOf(url),
      rejectUnauthorized: false,
      timeout: CONNECT_TIMEOUT_MS,
      ...(isIP(servername) === 0 && { servername }),
    });
    const end = (finding: Finding): void => {
      socket.destroy();
      settle(finding);
    };
    socket.once("secureConnect", () => {
      const { authorized, authorizationError } = socket;
      const code = authorized ? undefined : codeOf(authorizationError);
      end(judged(code, socket.getPeerCertificate(), now));
    });
    socket.once("timeout", () => end(noTls("no answer to the TLS handshake")));
    socket.once("error", (error) => end(noTls(error.message)));
  });
}

function judged(code: string | undefined, certificate: PeerCertificate, now: number): Finding {
  if (code !== undefined) {
    return failed(
      "certificate",
      `clients refuse it: ${code}`,
      CERTIFICATES[code] ?? "get one of a public authority",
    );
  }
  const leftMs = Date.parse(certificate.valid_to) - now;
  const days = Math.floor(leftMs / DAY_MS);
  return leftMs < EXPIRES_SOON_MS
    ? warning(
        "certificate",
        `it ends in ${days} ${days === 1 ? "day" : "days"}`,
        "see why it is not renewed by itself",
      )
    : ok("certificate", `good for ${days} days more`);
}

function noTls(message: string): Finding {
  return failed(
    "certificate",
    `no TLS: ${message}`,
    "use http:// in the URL, or end TLS in front of the gateway",
  );
}

/** Node says it as an error or as its code. */
function codeOf(error: unknown): string {
  const { code } = error as { code?: unknown };
  return typeof code === "string" ? code : String(error);
}

function portOf(url: URL): number {
  if (url.port !== "") return Number(url.port);
  return url.protocol === "https:" ? 443 : 80;
}

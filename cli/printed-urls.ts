/** URLs as commands print them, each with a curl line that works on this machine. */

import { lookup } from "node:dns/promises";
import type { RunningAgent } from "../origin-gpu/agent.ts";
import type { AppConfig } from "../origin-gpu/config/config.ts";
import { type AuthKind, authKindsOf } from "../routing/wire/auth-settings.ts";
import { printJson, printNotice, printResult } from "./output.ts";

/** A URL as the commands print it. */
export interface PrintedUrl {
  readonly function: string;
  readonly url: string;
  /** Arguments before the URL in the printed curl line. */
  readonly curlArguments?: readonly string[] | undefined;
  readonly path?: string | undefined;
  /** Callers need a token of the workspace. */
  readonly isPrivate?: boolean;
  /** Who else may call it. */
  readonly auth?: readonly AuthKind[];
}

/** Variables for a private endpoint's curl line. `postern proxy-token create` prints both values. */
const CREDENTIALS = '-H "Modal-Key: $TOKEN_ID" -H "Modal-Secret: $TOKEN_SECRET"';

/** The agent's URLs, in its configuration's order, with the settings that matter to a caller. */
export function urlsOf(
  agent: RunningAgent,
  { endpoints }: AppConfig,
  { path, curlArguments }: Pick<PrintedUrl, "path" | "curlArguments"> = {},
): PrintedUrl[] {
  return agent.urls.flatMap(({ function: name, url }, index) => {
    const endpoint = endpoints[index];
    // Called by programs with the app's token alone: nobody opens their URLs.
    if (endpoint?.requiresAppToken === true) return [];
    const isPrivate = endpoint?.requiresProxyAuth === true;
    const auth = authKindsOf(endpoint?.auth);
    return [{ function: name, url, path, curlArguments, isPrivate, auth }];
  });
}

interface PrintOptions {
  readonly json: boolean;
  readonly gatewayUrl: string;
  /** Where the URLs' names are served. */
  readonly address: string;
  /** Where this machine asks for the names as long as nothing serves the URLs themselves. */
  readonly directUrl?: string | undefined;
}

/** Prints each URL with a curl line that works on this machine, and marks private ones; with `json` one object. */
export async function printUrls(urls: readonly PrintedUrl[], options: PrintOptions): Promise<void> {
  if (options.json) {
    const plain = urls.map(({ function: name, url, isPrivate }) => ({
      function: name,
      url,
      ...(isPrivate === true ? { private: true } : {}),
    }));
    printJson({ gateway: options.gatewayUrl, urls: plain });
    return;
  }
  await sayUnresolved(urls, options.address);
  for (const printed of urls) {
    // First, because it waits: a notice would come between the URL and its curl line.
    const curl = await curlLine(printed, options);
    printResult(printed.url);
    // A line of its own, so that a script that reads URLs by the line gets nothing else on theirs.
    if (printed.isPrivate === true) printResult(`  🔑 private: ${callersNeed(printed.auth)}`);
    printResult(`  ${curl}`);
  }
}

const WORKSPACE_TOKENS = ["a proxy token", "a connect token"];

const OTHERS: Record<AuthKind, string> = {
  jwt: "a token of the issuer in auth.jwt",
  oidc: "a sign-in by auth.oidc",
};

/** The words for all that opens a private endpoint. */
export function callersNeed(auth: readonly AuthKind[] = []): string {
  const words = new Intl.ListFormat("en", { type: "disjunction" });
  return `callers need ${words.format([...WORKSPACE_TOKENS, ...auth.map((kind) => OTHERS[kind])])}`;
}

/** `serve` prints its URLs after each edit; one notice in a process is enough. */
let saidUnresolved = false;

async function sayUnresolved(urls: readonly PrintedUrl[], address: string): Promise<void> {
  const hosts: string[] = [];
  for (const { url } of urls) {
    const { hostname: host } = new URL(url);
    if (host.endsWith(".localhost") && !(await resolves(host))) hosts.push(host);
  }
  if (hosts.length === 0 || saidUnresolved) return;
  saidUnresolved = true;
  printNotice(unresolvedNotice(hosts, address));
}

/** The remedy where the system's resolver, which Python and Node use, knows no name under localhost. */
export function unresolvedNotice(hosts: readonly string[], address: string): string {
  return (
    "browsers find these names, but Python and Node on this machine do not; " +
    `install libnss-myhostname, or add to /etc/hosts: ${address} ${hosts.join(" ")}`
  );
}

/** A curl command for a shell, with `--resolve` where this machine can't resolve the name, past it at a `directUrl`. */
async function curlLine(
  { url, path = "/", curlArguments = [], isPrivate }: PrintedUrl,
  { address, directUrl }: PrintOptions,
): Promise<string> {
  const { hostname: host, port, protocol } = new URL(url);
  const words = ["curl"];
  if (directUrl !== undefined) {
    words.push("-H", shellWord(`Host: ${host}`));
  } else if (!(await resolves(host))) {
    words.push("--resolve", `${host}:${port || (protocol === "https:" ? "443" : "80")}:${address}`);
  }
  if (isPrivate === true) words.push(CREDENTIALS);
  words.push(...curlArguments.map(shellWord), shellWord((directUrl ?? url) + path));
  return words.join(" ");
}

/** Whether this machine can resolve a name. */
export async function resolves(host: string): Promise<boolean> {
  try {
    await lookup(host);
    return true;
  } catch {
    return false;
  }
}

/** A word as a shell is given it. */
export function shellWord(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

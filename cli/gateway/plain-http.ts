/** The notices of a gateway that has no HTTPS of its own. A proxy in front is known by `--trusted-proxies`. */
import { publicScheme } from "../../routing/names.ts";
import type { GatewaySettings } from "./settings.ts";

type Listening = Pick<GatewaySettings, "host" | "tls" | "variables">;

/** One line for each thing that is missing or open. */
export function plainHttpNotices(
  settings: Listening,
  baseDomain: string,
  port: number,
): readonly string[] {
  const notices: string[] = [];
  const direct = directUrlOf(settings, baseDomain, port);
  if (direct !== undefined) {
    notices.push(
      `URLs are https://….${baseDomain}, and this gateway speaks plain HTTP at ${direct} alone: give it --tls, ` +
        "or a proxy in front and --trusted-proxies (docs/self-hosting.md)",
    );
  }
  if (!isLoopback(settings.host) && speaksToStrangers(settings)) {
    notices.push(
      `the network reaches this gateway at ${settings.host}, port ${port}, in plain HTTP, which shows keys and ` +
        "answers to who is on the way: --tls or a proxy in front encrypts them (docs/self-hosting.md)",
    );
  }
  return notices;
}

/** Where this machine reaches a gateway whose own URLs lead nowhere yet; undefined where they lead to it. */
export function directUrlOf(
  settings: Listening,
  baseDomain: string,
  port: number,
): string | undefined {
  if (publicScheme(baseDomain) === "http" || !speaksToStrangers(settings)) return undefined;
  const address = reachableAddress(settings.host);
  return `http://${address.includes(":") ? `[${address}]` : address}:${port}`;
}

/** Where this machine reaches a gateway that listens on this address. */
export function reachableAddress(host: string): string {
  return host === "localhost" || host === "0.0.0.0" || host === "::" ? "127.0.0.1" : host;
}

/** Whether an address of the gateway is this machine's alone. */
export function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || host.startsWith("127.");
}

function speaksToStrangers({ tls, variables }: Listening): boolean {
  return tls === undefined && !variables["POSTERN_TRUSTED_PROXIES"];
}

/**
 * The URLs by which containers on this box reach the endpoints of their app. Where the box's resolver knows an
 * endpoint's name, that is the endpoint's own URL. On plain Debian the resolver knows no name under localhost: there a
 * proxy at 127.0.0.1 stands for the endpoint.
 */
import { lookup } from "node:dns/promises";
import { join } from "node:path";
import type { Observer } from "../../base/observer.ts";
import { within } from "../../base/runtime/within.ts";
import { messageOf } from "../../base/thrown.ts";
import { LoopbackPorts } from "./loopback-ports.ts";
import { LoopbackProxy } from "./loopback-proxy.ts";

/** A resolver that takes longer asks servers that it cannot reach. */
const LOOKUP_TIMEOUT_MS = 1_000;

/** Each has a listening socket until the agent ends: containers of older versions keep their URLs. */
const MAX_PROXIES = 500;

export interface LoopbackUrlsOptions {
  readonly notice: (line: string) => void;
  /** Whether this box's resolver knows a host. */
  readonly resolves?: (host: string) => Promise<boolean>;
  readonly maxProxies?: number;
  /** The ports of the last agent, which containers may know that it left running. */
  readonly ports?: LoopbackPorts;
}

export class LoopbackUrls {
  readonly #options: Required<LoopbackUrlsOptions>;
  /** By the endpoint's own URL. */
  readonly #proxies = new Map<string, Promise<LoopbackProxy | undefined>>();

  constructor(options: LoopbackUrlsOptions) {
    this.#options = { resolves, maxProxies: MAX_PROXIES, ports: new LoopbackPorts(), ...options };
  }

  /** @param urls the endpoints' own, by function */
  async reachable(urls: Readonly<Record<string, string>>): Promise<Record<string, string>> {
    const found = Object.entries(urls).map(async ([name, url]) => [
      name,
      await this.#reachable(url),
    ]);
    return Object.fromEntries(await Promise.all(found)) as Record<string, string>;
  }

  /** Resolves when nothing listens any more. */
  async close(): Promise<void> {
    const closing = [...this.#proxies.values()].map(async (opened) => (await opened)?.close());
    this.#proxies.clear();
    await Promise.all(closing);
  }

  async #reachable(text: string): Promise<string> {
    const url = new URL(text);
    if (!url.hostname.endsWith(".localhost") || url.protocol !== "http:") return text;
    let opened = this.#proxies.get(text);
    if (opened === undefined) {
      if (await this.#options.resolves(url.hostname)) return text;
      // Another function of the same app may have opened it meanwhile.
      opened = this.#proxies.get(text) ?? this.#open(url);
      this.#proxies.set(text, opened);
    }
    const proxy = await opened;
    if (proxy === undefined) this.#proxies.delete(text);
    return proxy?.url ?? text;
  }

  async #open(url: URL): Promise<LoopbackProxy | undefined> {
    const { notice, maxProxies, ports } = this.#options;
    if (this.#proxies.size >= maxProxies) {
      notice(
        `postern: containers can't resolve ${url.hostname}: ${maxProxies} names have a proxy already`,
      );
      return undefined;
    }
    try {
      const proxy = await LoopbackProxy.open(url, ports.portOf(url.href));
      ports.note(url.href, proxy.port);
      return proxy;
    } catch (error) {
      const reason = messageOf(error);
      notice(`postern: containers can't resolve ${url.hostname}, and no proxy listens: ${reason}`);
      return undefined;
    }
  }
}

/** Of an agent; with a state directory they have the ports of the last agent there. */
export function loopbackUrlsOf({
  stateDirectory: directory,
  observer: { notice },
}: {
  readonly stateDirectory?: string;
  readonly observer: Pick<Observer, "notice">;
}): LoopbackUrls {
  const file = directory === undefined ? undefined : join(directory, "loopback-ports.json");
  return new LoopbackUrls({ notice, ports: new LoopbackPorts(file) });
}

async function resolves(host: string): Promise<boolean> {
  const found = lookup(host).then(
    () => true,
    () => false,
  );
  return (await within(LOOKUP_TIMEOUT_MS, found)) === true;
}

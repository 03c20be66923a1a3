/**
 * The Host that an app sees, where its endpoint's `host_header` names another one than the public host. Many servers
 * refuse a Host that they do not know, so that no page can reach them by a name of its own (DNS rebinding). An Origin
 * and a Referer of the public host follow, and a redirect to the other host leads back to the public one.
 */
import { eachHeader, getHeader } from "../../base/headers.ts";

/** `host_header`: the name that a person at the box would use. */
const LOCAL = "local";

/** Servers that know one of these know `localhost`. */
const LOOPBACK = /^(?:127\.\d+\.\d+\.\d+|\[::1\])$/;

/** Scheme and authority. */
const ORIGIN_OF_URL = /^https?:\/\/([^/?#]+)/i;

export class AppHost {
  readonly #publicHost: string;
  readonly #scheme: string;
  readonly #host: string;
  readonly #origin: string;

  /**
   * @param headers of a request, as the gateway made them
   * @param hostHeader the endpoint's, which is not "public"
   * @param appOrigin where the app is, as in `http://127.0.0.1:23456`
   */
  constructor(headers: readonly string[], hostHeader: string, appOrigin: string) {
    this.#publicHost = getHeader(headers, "host") ?? "";
    this.#scheme = getHeader(headers, "x-forwarded-proto") ?? "http";
    const { protocol, hostname, port, host } = new URL(appOrigin);
    const isLocal = hostHeader === LOCAL;
    const local = LOOPBACK.test(hostname) ? `localhost${port && `:${port}`}` : host;
    this.#host = isLocal ? local : hostHeader;
    // A local page is one of the app's own scheme; a page under a name is the public one.
    this.#origin = isLocal ? `${protocol}//${local}` : `${this.#scheme}://${hostHeader}`;
  }

  /** The header lines as the app gets them. */
  toApp(headers: readonly string[]): string[] {
    const publicOrigin = `${this.#scheme}://${this.#publicHost}`.toLowerCase();
    return mapValues(headers, (name, value) => {
      if (name === "host") return this.#host;
      if (name !== "origin" && name !== "referer") return value;
      const [start = ""] = ORIGIN_OF_URL.exec(value) ?? [];
      return start.toLowerCase() === publicOrigin
        ? this.#origin + value.slice(start.length)
        : value;
    });
  }

  /** The header lines of the app's response as the client gets them. */
  toClient(headers: readonly string[]): string[] {
    return mapValues(headers, (name, value) => {
      if (name !== "location" && name !== "content-location") return value;
      const [start = "", authority = ""] = ORIGIN_OF_URL.exec(value) ?? [];
      if (authority.toLowerCase() !== this.#host.toLowerCase()) return value;
      return `${this.#scheme}://${this.#publicHost}${value.slice(start.length)}`;
    });
  }
}

/** The Host of an endpoint's app; undefined where it is the public one. */
export function appHost(
  headers: readonly string[],
  hostHeader: string | undefined,
  appOrigin: string,
): AppHost | undefined {
  return hostHeader === undefined ? undefined : new AppHost(headers, hostHeader, appOrigin);
}

function mapValues(
  headers: readonly string[],
  valueOf: (name: string, value: string) => string,
): string[] {
  const mapped: string[] = [];
  eachHeader(headers, (name, value) => mapped.push(name, valueOf(name, value)));
  return mapped;
}

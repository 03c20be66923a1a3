/** One request of a client that is tried, and what is wrong where its answer is none of a healthy app's. */
import {
  answererOf,
  exchange,
  LateAnswer,
  type Server,
  type TriedAnswer,
  type TriedRequest,
  wordsOf,
} from "./exchange.ts";
import { failed, type Finding } from "./finding.ts";

/** The endpoint, and the caller's key where it has one. */
export interface Patient {
  readonly server: Server;
  readonly key: string | undefined;
}

/** The answers of servers that refuse a Host that is not their own. */
const HOST_REFUSED: ReadonlySet<number> = new Set([400, 403, 421]);

const HOST_REMEDY =
  'the app may refuse the public Host: set host_header = "local", or an app_kind, in postern.toml (docs/apps.md)';

/** A try is shorter than the usual request timeout, after which Postern would answer with a result URL. */
const LATE_REMEDY =
  "the app starts or is slow (`postern app logs`), or a proxy in front holds a stream back: in nginx set proxy_buffering off";

export async function ask(
  { server, key }: Patient,
  asked: TriedRequest,
): Promise<TriedAnswer | Error> {
  const headers = {
    ...(key !== undefined && { authorization: `Bearer ${key}` }),
    ...asked.headers,
  };
  try {
    return await exchange(server, { ...asked, headers });
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  }
}

export function broken(check: string, error: Error): Finding {
  const { message } = error;
  if (error instanceof LateAnswer) return failed(check, message, LATE_REMEDY);
  return failed(
    check,
    `the exchange broke: ${message}`,
    "see the log of the gateway, and of what stands in front of it",
  );
}

/** The finding where an answer is none of a healthy app's; undefined for those below 400. */
export function problemOf(
  check: string,
  answer: TriedAnswer,
  { key }: Patient,
): Finding | undefined {
  const { status } = answer;
  if (status < 400) {
    if (answererOf(answer).by !== "other") return undefined;
    return failed(
      check,
      `${status}, and not from Postern`,
      "another server answers for this name: compare the URL with `postern url`",
    );
  }
  const answerer = answererOf(answer);
  if (answerer.by === "postern") {
    const { title, remedy } = wordsOf(answerer.code);
    const isKeyless = answerer.code === "missing_credentials" && key === undefined;
    return failed(
      check,
      `${status} ${answerer.code}: ${title}`,
      isKeyless
        ? "it is locked: give doctor a key by --key, of `postern proxy-token create` or `connect-token create`"
        : remedy,
    );
  }
  if (answerer.by === "other") {
    return failed(
      check,
      `${status} from ${proxyOf(answer) ?? "another server"}, not from Postern`,
      "see its log: it does not pass the request on to the gateway",
    );
  }
  if (HOST_REFUSED.has(status)) return failed(check, `${status} from the app itself`, HOST_REMEDY);
  if (status === 401)
    return failed(
      check,
      "401 from the app itself",
      "the app asks for a key of its own, besides Postern's",
    );
  if (status >= 500)
    return failed(
      check,
      `${status} from the app itself`,
      "read what it prints: `postern app logs`",
    );
  return undefined;
}

/** The name of a server in front that says it. */
export function proxyOf({ headers }: TriedAnswer): string | undefined {
  const { server, via } = headers;
  const named = /nginx|caddy|apache|cloudflare|envoy|traefik|haproxy|openresty/i.exec(
    `${String(server)} ${via ?? ""}`,
  );
  return named?.[0].toLowerCase();
}

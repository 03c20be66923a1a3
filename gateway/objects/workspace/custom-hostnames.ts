/**
 * Custom hostnames of Cloudflare for SaaS: where the Worker runs on Cloudflare, its edge takes a request for a custom
 * domain, and has a certificate for it, only when the zone has such a hostname. This client creates, reads and deletes
 * them. It asks once and reports what came of it; the domain's next check asks again.
 *
 * A hostname covers a name and, with `wildcard`, the names one label below it. So `example.com` and `*.example.com` share
 * one. The gateway itself decides what is served: a hostname that covers too much opens nothing.
 */
import * as z from "zod";
import { MINUTE_MS } from "../../../base/units.ts";
import { within } from "../../../base/runtime/within.ts";
import { hostnameOf } from "../../../routing/domains.ts";

/** Until the whole answer is there. */
const ANSWER_TIMEOUT_MS = 10_000;

/** A list of the hostnames of one name has one entry, of a few kilobytes. */
const MAX_ANSWER_CHARACTERS = 262_144;

/** When Cloudflare is asked again after a failure, and while a certificate is on its way. */
const RETRY_MS = 10 * MINUTE_MS;

/** A `Retry-After` counts between these. Cloudflare's limit is for five minutes. */
const MIN_RETRY_MS = MINUTE_MS;
const MAX_RETRY_MS = 60 * MINUTE_MS;

/** How far a hostname is: a sentence of what it waits for, empty where it serves; and when to look again. */
export interface HostnameReport {
  readonly detail: string;
  readonly retryMs: number | undefined;
  /** Cloudflare has done what was asked of it. */
  readonly isDone: boolean;
}

export interface CustomHostnames {
  /** Creates the hostname of a domain where it is not there, and reads how far it is. Never throws. */
  ensure(domain: string): Promise<HostnameReport>;
  /** Deletes it; one that is not there is deleted. Never throws. */
  remove(domain: string): Promise<HostnameReport>;
}

export interface CloudflareOptions {
  readonly fetch: (url: string, init: RequestInit) => Promise<Response>;
  /** The API's base, without a slash at the end. */
  readonly api: string;
  readonly zone: string;
  readonly token: string;
}

const HOSTNAME = z.object({
  id: z.string().regex(/^[\w-]{1,64}$/),
  hostname: z.string(),
  status: z.string().optional(),
  verification_errors: z.array(z.string()).optional(),
  ssl: z
    .object({
      status: z.string().optional(),
      wildcard: z.boolean().nullish(),
      validation_records: z
        .array(z.object({ txt_name: z.string().optional(), txt_value: z.string().optional() }))
        .optional(),
      validation_errors: z.array(z.object({ message: z.string() })).optional(),
    })
    .optional(),
});

type Hostname = z.output<typeof HOSTNAME>;

const ONE = z.object({ result: HOSTNAME });
const LIST = z.object({ result: z.array(HOSTNAME) });
const DELETED = z.object({});

const DONE: HostnameReport = { detail: "", retryMs: undefined, isDone: true };

/** Cloudflare did not do what it was asked to. */
class CloudflareTrouble extends Error {
  override name = "CloudflareTrouble";
  readonly retryMs: number;

  constructor(what: string, retryMs = RETRY_MS) {
    super(`Cloudflare ${what}`);
    this.retryMs = retryMs;
  }
}

export class CloudflareHostnames implements CustomHostnames {
  readonly #options: CloudflareOptions;

  constructor(options: CloudflareOptions) {
    this.#options = options;
  }

  async ensure(domain: string): Promise<HostnameReport> {
    const { hostname, isWildcard } = hostnameOf(domain);
    return await reported(async () => {
      const present = await this.#read(hostname);
      if (present === undefined) {
        const body = { hostname, ssl: sslOf(isWildcard) };
        return progressOf((await this.#ask("POST", "", ONE, body)).result);
      }
      if (isWildcard && present.ssl?.wildcard !== true) {
        const body = { ssl: sslOf(true) };
        return progressOf((await this.#ask("PATCH", `/${present.id}`, ONE, body)).result);
      }
      return progressOf(present);
    });
  }

  async remove(domain: string): Promise<HostnameReport> {
    return await reported(async () => {
      const present = await this.#read(hostnameOf(domain).hostname);
      if (present !== undefined) await this.#ask("DELETE", `/${present.id}`, DELETED);
      return DONE;
    });
  }

  async #read(hostname: string): Promise<Hostname | undefined> {
    const { result } = await this.#ask("GET", `?hostname=${hostname}`, LIST);
    // The filter may also find longer names.
    return result.find((one) => one.hostname === hostname);
  }

  async #ask<Answer>(
    method: "DELETE" | "GET" | "PATCH" | "POST",
    target: string,
    schema: z.ZodType<Answer>,
    body?: object,
  ): Promise<Answer> {
    const cut = new AbortController();
    const asked = this.#answerTo(method, target, cut.signal, body);
    const answer = await within(ANSWER_TIMEOUT_MS, asked);
    if (answer === undefined) {
      cut.abort();
      throw new CloudflareTrouble(`did not answer within ${ANSWER_TIMEOUT_MS / 1_000} s`);
    }
    const { status, text, retryAfter } = answer;
    if (status === 404 && method === "DELETE") return schema.parse({});
    if (status === 429) throw new CloudflareTrouble("has had too many requests", retryAfter);
    if (status < 200 || status > 299) {
      throw new CloudflareTrouble(`answered ${status}${codesOf(text)}`, retryAfter);
    }
    const parsed = schema.safeParse(parseJson(text));
    if (!parsed.success) throw new CloudflareTrouble("answered in no form that is known");
    return parsed.data;
  }

  async #answerTo(
    method: string,
    target: string,
    signal: AbortSignal,
    body: object | undefined,
  ): Promise<{ status: number; text: string; retryAfter: number }> {
    const { fetch, api, zone, token } = this.#options;
    let response: Response;
    try {
      response = await fetch(`${api}/zones/${zone}/custom_hostnames${target}`, {
        method,
        headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
        ...(body !== undefined && { body: JSON.stringify(body) }),
        redirect: "manual",
        signal,
      });
    } catch {
      // Its words might quote the request, and the token with it.
      throw new CloudflareTrouble("could not be reached");
    }
    const text = await boundedText(response);
    return { status: response.status, text, retryAfter: retryOf(response.headers) };
  }
}

/** Cloudflare proves a plain name by itself, over HTTP; only TXT records prove a wildcard. */
function sslOf(wildcard: boolean): object {
  return { type: "dv", method: wildcard ? "txt" : "http", wildcard };
}

async function reported(work: () => Promise<HostnameReport>): Promise<HostnameReport> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof CloudflareTrouble)) throw error;
    return { detail: error.message, retryMs: error.retryMs, isDone: false };
  }
}

function progressOf({ status, ssl, verification_errors: errors }: Hostname): HostnameReport {
  if (status === "active" && ssl?.status === "active") return DONE;
  const of = status === "active" ? "certificate" : "hostname";
  const how = status === "active" ? ssl?.status : status;
  const records = (ssl?.validation_records ?? []).flatMap(({ txt_name: name, txt_value: value }) =>
    name === undefined || value === undefined ? [] : [`; set TXT ${name} to ${value}`],
  );
  const why = [...(errors ?? []), ...(ssl?.validation_errors ?? []).map(({ message }) => message)];
  const detail = `Cloudflare's ${of} is ${how ?? "pending"}${records.join("")}${why.map((one) => `; ${one}`).join("")}`;
  return { detail: detail.slice(0, 1_000), retryMs: RETRY_MS, isDone: true };
}

/** The numbers of Cloudflare's errors: its words might quote what it was sent. */
function codesOf(text: string): string {
  const errors = z.object({ errors: z.array(z.object({ code: z.number() })) });
  const parsed = errors.safeParse(parseJson(text));
  const codes = parsed.success ? parsed.data.errors.map(({ code }) => code) : [];
  return codes.length === 0 ? "" : ` (error ${codes.slice(0, 5).join(", ")})`;
}

function retryOf(headers: Headers): number {
  const seconds = headers.get("retry-after") ?? "";
  if (!/^\d{1,6}$/.test(seconds)) return RETRY_MS;
  return Math.min(MAX_RETRY_MS, Math.max(MIN_RETRY_MS, Number(seconds) * 1_000));
}

async function boundedText(response: Response): Promise<string> {
  const reader = (response.body as ReadableStream<Uint8Array> | null)?.getReader();
  const decoder = new TextDecoder();
  let text = "";
  for (;;) {
    const { value } = (await reader?.read()) ?? {};
    if (value === undefined) return text;
    text += decoder.decode(value, { stream: true });
    if (text.length <= MAX_ANSWER_CHARACTERS) continue;
    await reader?.cancel();
    throw new CloudflareTrouble("answered with too much");
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

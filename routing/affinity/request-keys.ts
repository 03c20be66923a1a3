/**
 * The session keys that a request carries, in the order in which they lead. A body is looked into only where a row
 * asks for it, and only JSON; one that cannot be read has no key. Pure.
 */
import { KIB, MIB } from "../../base/units.ts";
import { promptKey } from "./prompt.ts";
import type { KeySource } from "./rows.ts";
import type { AffinityRules } from "./rules.ts";
import { MAX_KEYS, sessionKey } from "./session-key.ts";
import {
  cookieValue,
  fileFolders,
  folderOfFile,
  idsInPath,
  isPlainJson,
  memberText,
  parsedJson,
  pathOf,
  queryValue,
} from "./values.ts";

/** A request as far as keys are looked for in it. */
export interface KeyedRequest {
  readonly method: string;
  /** Path and query, raw. */
  readonly target: string;
  readonly headers: { get(name: string): string | null };
  /** The network that counts as one client (routing/client-network.ts). */
  readonly clientNetwork: string;
  /** The id in the gateway's own cookie, whose signature was right. */
  readonly cookieId?: string | undefined;
  /** Tells this caller from others. */
  readonly caller: () => string;
  /** The whole body, where `looksAtBody` asked for it. */
  readonly body?: Uint8Array | undefined;
}

/** Gradio's bodies hold the inputs of a call. Larger ones are uploaded, and the body names them. */
const MAX_MEMBER_BODY_BYTES = MIB;

const MAX_PROMPT_BODY_BYTES = 256 * KIB;

const SOURCES_IN_BODIES: Readonly<Partial<Record<KeySource["from"], number>>> = {
  "body-member": MAX_MEMBER_BODY_BYTES,
  "body-files": MAX_MEMBER_BODY_BYTES,
  prompt: MAX_PROMPT_BODY_BYTES,
};

/** The largest body that `keysOf` would look into, in bytes; 0 where none helps. */
export function looksAtBody(
  { sources }: AffinityRules,
  { method, headers }: Pick<KeyedRequest, "method" | "headers">,
): number {
  if (method === "GET" || method === "HEAD") return 0;
  let bytes = 0;
  for (const { from } of sources) bytes = Math.max(bytes, SOURCES_IN_BODIES[from] ?? 0);
  return bytes > 0 && hasJson(headers) ? bytes : 0;
}

/** The keys of a request, each once; the first ones lead. */
export function keysOf({ sources }: AffinityRules, request: KeyedRequest): string[] {
  const parts = new RequestParts(request);
  const keys = new Set<string>();
  for (const source of sources) {
    for (const key of keysFrom(source, request, parts)) {
      if (keys.size === MAX_KEYS) return [...keys];
      if (key !== undefined) keys.add(key);
    }
  }
  return [...keys];
}

function keysFrom(
  source: KeySource,
  request: KeyedRequest,
  parts: RequestParts,
): readonly (string | undefined)[] {
  const { target, headers } = request;
  switch (source.from) {
    case "cookie":
      return [keyOf("cookie", request.cookieId)];
    case "client-ip":
      return [keyOf("client-ip", request.clientNetwork)];
    case "header":
      return [keyOf(source.key, headers.get(source.name)?.trim())];
    case "list-header": {
      const parts = headers.get(source.name)?.split(",", source.index + 1);
      return [keyOf(source.key, parts?.[source.index]?.trim())];
    }
    case "query":
      return [keyOf(source.key, queryValue(target, source.name))];
    case "app-cookie":
      return [keyOf(source.key, cookieValue(headers.get("cookie"), source.name))];
    case "path": {
      if (source.method !== undefined && source.method !== request.method) return NO_KEYS;
      return [keyOf(source.key, source.pattern.exec(parts.path)?.[1])];
    }
    case "path-file":
      return [keyOf(source.key, folderOfFile(parts.path))];
    case "path-ids":
      return idsInPath(parts.path).map((id) => keyOf(source.key, id));
    case "body-member":
      return [keyOf(source.key, memberText(parts.json, source.name))];
    case "body-files":
      return fileFolders(parts.text).map((folder) => keyOf(source.key, folder));
    case "prompt": {
      const isShort = parts.text.length <= MAX_PROMPT_BODY_BYTES;
      return isShort ? [promptKey(parts.json, request.caller)] : NO_KEYS;
    }
  }
}

const NO_KEYS = [] as const;

function keyOf(name: string, value: string | undefined): string | undefined {
  return value === undefined ? undefined : sessionKey(name, value);
}

function hasJson(headers: KeyedRequest["headers"]): boolean {
  return isPlainJson(headers.get("content-type"), headers.get("content-encoding"));
}

/** Parts of a request that several rows look at, made once at most and only where a row asks. */
class RequestParts {
  readonly #target: string;
  readonly #body: Uint8Array | undefined;
  #path: string | undefined;
  #text: string | undefined;
  #parsed: { readonly json: unknown } | undefined;

  constructor({ target, body, headers }: KeyedRequest) {
    this.#target = target;
    const isSmall = body !== undefined && body.length <= MAX_MEMBER_BODY_BYTES;
    this.#body = isSmall && hasJson(headers) ? body : undefined;
  }

  get path(): string {
    this.#path ??= pathOf(this.#target);
    return this.#path;
  }

  /** Empty where the body is not JSON by its type. */
  get text(): string {
    if (this.#body === undefined) return "";
    this.#text ??= new TextDecoder().decode(this.#body);
    return this.#text;
  }

  get json(): unknown {
    if (this.#body === undefined) return undefined;
    this.#parsed ??= { json: parsedJson(this.text) };
    return this.#parsed.json;
  }
}

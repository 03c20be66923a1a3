/**
 * Which requests may be one batch, and the header lines of a batch and of its answers. Requests are collected where
 * their target is the same and all header lines that an app may judge by, so that nobody's request runs under the
 * credentials of another. Pure.
 */
import { eachHeader, filterHeaders, getHeader } from "../../base/headers.ts";
import type { RequestHead } from "../../routing/wire/heads.ts";

/** Lines that differ from client to client and from call to call. A batch has none of them. */
const OF_ONE_CALL: ReadonlySet<string> = new Set([
  "content-type",
  "content-length",
  "transfer-encoding",
  "postern-call-id",
  "x-request-id",
  "traceparent",
  "tracestate",
  "x-forwarded-for",
  "idempotency-key",
  "prefer",
  "user-agent",
  "accept",
  "accept-encoding",
  "accept-language",
  "cache-control",
  "pragma",
  "priority",
  "origin",
  "referer",
  "dnt",
]);

/** Browsers describe themselves by these. */
const PREFIXES_OF_ONE_CALL = ["sec-fetch-", "sec-ch-"] as const;

/** Lines of a batch's answer that are wrong for a part of it. */
const OF_THE_WHOLE: ReadonlySet<string> = new Set([
  "content-length",
  "content-type",
  "content-digest",
  "repr-digest",
  "digest",
  "content-md5",
  "etag",
  "set-cookie",
]);

/** `200, 404, 200`: the status of each request's answer, in their order. Of the app's response alone. */
export const STATUSES_HEADER = "postern-batch-status";

/** Requests with one key may be one batch; undefined for a request that goes alone. */
export function batchKey({ method, target, headers, websocket }: RequestHead): string | undefined {
  if (method !== "POST" || websocket !== undefined || !isPlainJson(headers)) return undefined;
  return JSON.stringify([target, sharedHeaders(headers)]);
}

/** The header lines of a batch. @param headers of one of its requests */
export function batchHeaders(headers: readonly string[], size: number): string[] {
  const own = ["content-type", "application/json", "accept", "application/json"];
  return [...sharedHeaders(headers), ...own, "postern-batch-size", `${size}`];
}

/** The header lines of one request's answer. @param headers of the batch's, as a client may have them */
export function answerHeaders(headers: readonly string[], bytes: number): string[] {
  const own = ["content-type", "application/json", "content-length", `${bytes}`];
  return [...filterHeaders(headers, (name) => !OF_THE_WHOLE.has(name)), ...own];
}

/** The statuses that an app gives the answers of a batch; undefined where the line is not right. */
export function statusesOf(line: string, size: number): number[] | undefined {
  const statuses = line.split(",").map((word) => word.trim());
  if (statuses.length !== size || !statuses.every((word) => /^[2-5]\d\d$/.test(word))) {
    return undefined;
  }
  return statuses.map(Number);
}

/** UTF-8 and not compressed: its text can be an element of a list. */
function isPlainJson(headers: readonly string[]): boolean {
  if (getHeader(headers, "content-encoding") !== undefined) return false;
  const type = getHeader(headers, "content-type") ?? "";
  return /^application\/json\s*(?:;\s*charset\s*=\s*"?utf-8"?\s*)?$/i.test(type);
}

function sharedHeaders(headers: readonly string[]): string[] {
  const shared: string[] = [];
  eachHeader(headers, (name, value) => {
    const isOfOneCall =
      OF_ONE_CALL.has(name) || PREFIXES_OF_ONE_CALL.some((prefix) => name.startsWith(prefix));
    if (!isOfOneCall) shared.push(name, value);
  });
  return shared;
}

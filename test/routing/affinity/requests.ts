/** Requests and responses of known clients, for tests of session keys. */
import { expect } from "vitest";
import type { KeyedRequest } from "../../../routing/affinity/request-keys.ts";
import { type AffinityRules, affinityRules } from "../../../routing/affinity/rules.ts";

/** The rules of words, of which at least one is known. */
export function rulesOf(...words: string[]): AffinityRules {
  const rules = affinityRules(words);
  expect(rules).toBeDefined();
  return rules as AffinityRules;
}

interface RequestParts extends Omit<Partial<KeyedRequest>, "headers" | "body"> {
  readonly headers?: Record<string, string>;
  /** JSON, unless a Content-Type says otherwise. */
  readonly json?: unknown;
  readonly text?: string;
}

/** A request, `GET /` from one address unless it says otherwise. */
export function requestWith({ headers, json, text, ...parts }: RequestParts = {}): KeyedRequest {
  const body = json === undefined ? text : JSON.stringify(json);
  return {
    method: body === undefined ? "GET" : "POST",
    target: "/",
    clientNetwork: "192.0.2.1",
    caller: () => "somebody",
    ...parts,
    headers: new Headers({
      ...(body !== undefined && { "content-type": "application/json" }),
      ...headers,
    }),
    ...(body !== undefined && { body: new TextEncoder().encode(body) }),
  };
}

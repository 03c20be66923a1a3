/**
 * Questions to a box's agent itself instead of to an app (docs/protocol.md, "Questions to the agent"):
 * they travel like calls, on a stream that names no endpoint.
 */
import type { RequestHead } from "../../../routing/wire/heads.ts";
import type { Env } from "../../contracts/env.ts";
import type { Attempt } from "../../contracts/attempt.ts";
import { proxyRequest } from "./proxy-request.ts";
import { asciiJson } from "../../contracts/attempt.ts";
import type { BoxPlace } from "../../contracts/names.ts";

/** The agent answers from memory. */
const PATIENCE_MS = 10_000;

export interface Question {
  readonly method: "GET" | "POST" | "PUT" | "DELETE";
  readonly target: string;
  /** Names and values in turn. */
  readonly headers?: string[];
  readonly content?: { readonly bytes: number; readonly stream: ReadableStream<Uint8Array> };
  /** How long the answer may take, from the question's last byte on. */
  readonly patienceMs?: number;
}

/** Asks a box's agent. The answer's status is the agent's own. */
export async function askAgent(
  env: Env,
  workspace: string,
  box: BoxPlace,
  { method, target, headers = [], content, patienceMs = PATIENCE_MS }: Question,
): Promise<Attempt> {
  const id = crypto.randomUUID();
  const length = content === undefined ? [] : ["content-length", `${content.bytes}`];
  const head: RequestHead = {
    callId: id,
    // The agent itself: no app's endpoint is called so.
    endpoint: "",
    method,
    target,
    headers: [...headers, ...length],
  };
  const request = new Request("http://agent/", {
    method: content === undefined ? "GET" : "PUT",
    headers: Object.fromEntries(length.length === 0 ? [] : [length]),
    ...(content === undefined ? {} : { body: content.stream }),
  });
  const call = {
    callId: id,
    workspace,
    boxes: [box],
    head: asciiJson(JSON.stringify(head)),
    request,
    terms: { method, isKeyed: false, isDurable: false },
  };
  return (await proxyRequest(env, call, patienceMs)).attempt;
}

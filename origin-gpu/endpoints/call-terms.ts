/** The terms of calls for a function with these settings. */
import { SECOND_MS } from "../../base/units.ts";
import type { CallTerms } from "../calls/call.ts";
import type { EndpointConfig } from "../config/app-config.ts";

export function callTerms({ onDisconnect, resultTtl }: EndpointConfig): CallTerms {
  const graceMs = { cancel: 0, keep: Infinity };
  return {
    resultTtlMs: resultTtl * SECOND_MS,
    graceMs: typeof onDisconnect === "number" ? onDisconnect * SECOND_MS : graceMs[onDisconnect],
  };
}

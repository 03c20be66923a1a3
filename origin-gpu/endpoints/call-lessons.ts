/** Makes the lessons of a call's response, of its function's `affinity`. */
import { affinityRules, type AffinityRules } from "../../routing/affinity/rules.ts";
import { type LessonsOptions, ResponseLessons } from "../calls/response-lessons.ts";
import type { EndpointConfig } from "../config/app-config.ts";
import type { QueuedCall } from "./queued-call.ts";

/** Of each list of words, which a version parses once. */
const parsed = new WeakMap<readonly string[], { readonly rules: AffinityRules | undefined }>();

/** Undefined where the function's responses hand out no session keys. */
export function lessonsOf(
  { call, settings: { affinity } }: QueuedCall,
  onKeys: LessonsOptions["onKeys"],
): ResponseLessons | undefined {
  const rules = affinity && rulesOf(affinity);
  if (rules === undefined || rules.lessons.length === 0) return undefined;
  const { method, target } = call.head;
  return new ResponseLessons({ rules, request: { method, target }, onKeys });
}

function rulesOf({
  rules: words,
}: NonNullable<EndpointConfig["affinity"]>): AffinityRules | undefined {
  const known = parsed.get(words);
  if (known !== undefined) return known.rules;
  const rules = affinityRules(words);
  parsed.set(words, { rules });
  return rules;
}

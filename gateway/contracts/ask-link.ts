/** A request to the object of one link about a call; it results in an attempt. */
import { type Attempt, failedAttempt, receivedAttempt } from "./attempt.ts";
import type { Env } from "./env.ts";
import { originStub } from "./stubs.ts";

/**
 * Asks the object of one link. An object that is reset meanwhile counts as a lost link: what it had sent to the
 * agent, it had sent.
 * @param verb of VERB
 */
export async function askLink(
  env: Env,
  { workspace, box }: { readonly workspace: string; readonly box: string },
  link: number,
  verb: string,
  init: RequestInit,
): Promise<Attempt> {
  let response: Response;
  try {
    response = await originStub(env, workspace, box, link).fetch(verb, init);
  } catch (error) {
    return isOverload(error)
      ? failedAttempt("overloaded", {
          code: "unavailable",
          detail: "the link to the box is overloaded",
          retryAfter: 1,
        })
      : failedAttempt("link_lost", { code: "call_lost", detail: "the link's object was reset" });
  }
  return receivedAttempt(response);
}

/** Cloudflare marks an error of an object that takes no more requests; such a request did not reach it. */
function isOverload(error: unknown): boolean {
  return typeof error === "object" && error !== null && "overloaded" in error && !!error.overloaded;
}

/** A request to the object of one link about a call; it results in an attempt. */
import {
  type Attempt,
  failedAttempt,
  type ParkedAttempt,
  receivedAttempt,
  receivedOpening,
} from "./attempt.ts";
import type { Env } from "./env.ts";
import { originStub } from "./stubs.ts";

/** The box whose link is asked. */
interface AskedBox {
  readonly workspace: string;
  readonly box: string;
}

/**
 * Asks the object of one link. An object that is reset meanwhile counts as a lost link: what it had sent to the
 * agent, it had sent.
 * @param verb of VERB
 */
export async function askLink(
  env: Env,
  box: AskedBox,
  link: number,
  verb: string,
  init: RequestInit,
): Promise<Attempt> {
  const response = await responseOf(env, box, link, verb, init);
  return response instanceof Response ? receivedAttempt(response) : response;
}

/** Asks the same for a call that may be parked. */
export async function askToOpen(
  env: Env,
  box: AskedBox,
  link: number,
  verb: string,
  init: RequestInit,
): Promise<Attempt | ParkedAttempt> {
  const response = await responseOf(env, box, link, verb, init);
  return response instanceof Response ? receivedOpening(response) : response;
}

async function responseOf(
  env: Env,
  { workspace, box }: AskedBox,
  link: number,
  verb: string,
  init: RequestInit,
): Promise<Response | Attempt> {
  try {
    return await originStub(env, workspace, box, link).fetch(verb, init);
  } catch (error) {
    return isOverload(error)
      ? failedAttempt("overloaded", {
          code: "unavailable",
          detail: "the link to the box is overloaded",
          retryAfter: 1,
        })
      : failedAttempt("link_lost", { code: "call_lost", detail: "the link's object was reset" });
  }
}

/** Cloudflare marks an error of an object that takes no more requests; such a request did not reach it. */
function isOverload(error: unknown): boolean {
  return typeof error === "object" && error !== null && "overloaded" in error && !!error.overloaded;
}

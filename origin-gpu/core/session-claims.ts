/**
 * The home of sessions that are about to begin: of all gateways' isolates that place a session with the same key, the
 * first one's box is told to each. Pure.
 */
import { MINUTE_MS } from "../../base/units.ts";

/** The session is with its box by then, which says so when it is asked. */
const CLAIM_MS = MINUTE_MS;

/** A claim takes some hundred bytes. With more in a minute the oldest is forgotten: two boxes may get one session. */
const MAX_CLAIMS = 100_000;

interface SessionClaim {
  readonly box: string;
  readonly untilMs: number;
}

export class SessionClaims {
  /** The oldest first. */
  readonly #claims = new Map<string, SessionClaim>();

  /** Claims the session of these keys for a box. @returns the box that has it */
  claim(endpoint: string, keys: readonly string[], box: string, nowMs: number): string {
    this.#forgetOld(nowMs);
    const names = keys.map((key) => `${endpoint} ${key}`);
    const claimed = names.map((name) => this.#claims.get(name)).find((one) => one !== undefined);
    const claim = claimed ?? { box, untilMs: nowMs + CLAIM_MS };
    for (const name of names) if (!this.#claims.has(name)) this.#claims.set(name, claim);
    return claim.box;
  }

  get size(): number {
    return this.#claims.size;
  }

  #forgetOld(nowMs: number): void {
    for (const [name, { untilMs }] of this.#claims) {
      if (untilMs > nowMs && this.#claims.size < MAX_CLAIMS) return;
      this.#claims.delete(name);
    }
  }
}

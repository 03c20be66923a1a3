/**
 * How many new certificates may be asked for. An authority limits them for each registered domain and each account, and
 * strangers choose the names below a wildcard: without a bound of our own they would use up the owner's certificates.
 * Names that have a certificate never come here. Pure: the time is an argument, in milliseconds of any clock.
 *
 * The numbers are for the limits of Let's Encrypt: 50 certificates a week of a registered domain, 300 orders in three
 * hours of an account, five failed tries an hour of a name.
 */

import { HOUR_MS, MINUTE_MS } from "../../../base/units.ts";

/** `size` at once, and one more each `everyMs`. */
interface Allowance {
  readonly size: number;
  readonly everyMs: number;
}

const OF_ALL: Allowance = { size: 200, everyMs: MINUTE_MS };

/** 48 in the busiest week. */
const OF_A_WILDCARD: Allowance = { size: 20, everyMs: 6 * HOUR_MS };

/** The handshakes of this time share one try for a name. */
const TRY_MS = MINUTE_MS;

/** A name whose try brought no certificate is tried again this long after it: its DNS may not point here yet. */
const RETRY_MS = 15 * MINUTE_MS;

interface Spent {
  left: number;
  atMs: number;
}

export class CertificateRates {
  readonly #all: Spent = { left: OF_ALL.size, atMs: 0 };
  readonly #wildcards = new Map<string, Spent>();
  /** When each name was last tried. */
  readonly #tries = new Map<string, number>();

  /**
   * Whether a certificate may be asked for now.
   * @param isBelowWildcard strangers choose such names
   */
  admit(name: string, isBelowWildcard: boolean, nowMs: number): boolean {
    this.#forget(nowMs);
    const triedMs = this.#tries.get(name);
    if (triedMs !== undefined) return nowMs - triedMs < TRY_MS;
    const wildcard = isBelowWildcard ? this.#wildcard(name) : undefined;
    if (wildcard !== undefined && !hasOne(wildcard, OF_A_WILDCARD, nowMs)) return false;
    if (!hasOne(this.#all, OF_ALL, nowMs)) return false;
    this.#all.left -= 1;
    if (wildcard !== undefined) wildcard.left -= 1;
    this.#tries.set(name, nowMs);
    return true;
  }

  #wildcard(name: string): Spent {
    const parent = name.slice(name.indexOf(".") + 1);
    const spent = this.#wildcards.get(parent) ?? { left: OF_A_WILDCARD.size, atMs: 0 };
    this.#wildcards.set(parent, spent);
    return spent;
  }

  /** Both tables grow by a try at most, and so by no more than `OF_ALL` says. */
  #forget(nowMs: number): void {
    for (const [name, triedMs] of this.#tries) {
      // The oldest are first.
      if (nowMs - triedMs < RETRY_MS) break;
      this.#tries.delete(name);
    }
    for (const [parent, spent] of this.#wildcards) {
      if (refilled(spent, OF_A_WILDCARD, nowMs) >= OF_A_WILDCARD.size) {
        this.#wildcards.delete(parent);
      }
    }
  }
}

function refilled({ left, atMs }: Spent, { size, everyMs }: Allowance, nowMs: number): number {
  return Math.min(size, left + (nowMs - atMs) / everyMs);
}

function hasOne(spent: Spent, allowance: Allowance, nowMs: number): boolean {
  spent.left = refilled(spent, allowance, nowMs);
  spent.atMs = nowMs;
  return spent.left >= 1;
}

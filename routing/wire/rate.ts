/** A rate as settings write it, `N/S`: N requests a second, and what S seconds of them may come at once. Pure. */

export interface Rate {
  /** Requests a second; fractions allowed. */
  readonly perSecond: number;
  /** Requests that may come at once, after a rest. At least 1. */
  readonly burst: number;
  /** The seconds in which as many come back. */
  readonly windowS: number;
}

/** For the API's document, where a pattern stands for `isRate`: rates in whole numbers. */
export const RATE_DOCUMENT_PATTERN = "^[1-9][0-9]{0,4}/[1-9][0-9]{0,2}$";

const RATE_PATTERN = /^\d{1,7}(?:\.\d{1,3})?\/\d{1,4}(?:\.\d{1,3})?$/;

/** Undefined where the text is no rate, or one that lets nothing through. */
export function parseRate(text: string): Rate | undefined {
  if (!RATE_PATTERN.test(text)) return undefined;
  const [perSecond, windowS] = text.split("/").map(Number) as [number, number];
  // Less than one request of burst would let none through, ever.
  return perSecond * windowS < 1 ? undefined : { perSecond, burst: perSecond * windowS, windowS };
}

export function isRate(text: string): boolean {
  return parseRate(text) !== undefined;
}

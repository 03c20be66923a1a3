import { describe, expect, it } from "vitest";
import { type CallProgress, isSafeMethod, mayResend } from "../../../routing/wire/resend.ts";

const SAFE = ["GET", "HEAD", "OPTIONS", "TRACE"];
const UNSAFE = ["POST", "PUT", "PATCH", "DELETE", "CONNECT", "QUERY", "get", ""];
const PROGRESS: readonly CallProgress[] = ["not_sent", "unknown", "started", "answered"];
const BOTH = [false, true];

/** Each call that there is, as far as the law asks. */
const CASES = PROGRESS.flatMap((progress) =>
  [...SAFE, ...UNSAFE].flatMap((method) =>
    BOTH.flatMap((isKeyed) =>
      BOTH.map((isDurable) => ({ progress, terms: { method, isKeyed, isDurable } })),
    ),
  ),
);

function casesWhere(choose: (one: (typeof CASES)[number]) => boolean): [string, boolean][] {
  return CASES.filter(choose).map(({ progress, terms }) => [
    `${progress} ${JSON.stringify(terms)}`,
    mayResend(progress, terms),
  ]);
}

describe("a call", () => {
  it("that no app has a byte of may be sent, whatever it is", () => {
    for (const [, may] of casesWhere(({ progress }) => progress === "not_sent")) {
      expect(may).toBe(true);
    }
  });

  it("that is keyed or durable is never sent twice, whatever its method", () => {
    const onceOnly = casesWhere(
      ({ progress, terms }) => progress !== "not_sent" && (terms.isKeyed || terms.isDurable),
    );
    for (const [which, may] of onceOnly) expect([which, may]).toEqual([which, false]);
  });

  it("that may have begun is sent again where its method is safe and it is neither keyed nor durable", () => {
    const mayHaveBegun = casesWhere(
      ({ progress, terms }) =>
        (progress === "unknown" || progress === "started") && !terms.isKeyed && !terms.isDurable,
    );
    const allowed = mayHaveBegun.filter(([, may]) => may).map(([which]) => which);
    const expected = mayHaveBegun
      .map(([which]) => which)
      .filter((which) => SAFE.some((method) => which.includes(`"${method}"`)));
    expect(allowed).toEqual(expected);
  });

  it("that its endpoint lets run again is sent again, whatever it is, until its response begins", () => {
    for (const { progress, terms } of CASES) {
      const may = mayResend(progress, { ...terms, isRepeatable: true });
      expect([progress, terms, may]).toEqual([progress, terms, progress !== "answered"]);
    }
  });

  it("whose response has begun is never sent again", () => {
    for (const [, may] of casesWhere(({ progress }) => progress === "answered")) {
      expect(may).toBe(false);
    }
  });
});

describe("a safe method", () => {
  it("is one of RFC 9110's four, in upper case", () => {
    expect([...SAFE, ...UNSAFE].filter(isSafeMethod)).toEqual(SAFE);
  });
});

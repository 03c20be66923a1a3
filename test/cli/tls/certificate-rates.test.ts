import { describe, expect, test } from "vitest";
import { HOUR_MS, MINUTE_MS } from "../../../base/units.ts";
import { CertificateRates } from "../../../cli/gateway/tls/certificate-rates.ts";

/** How many of so many names get a certificate, all at one moment. */
function admitted(
  rates: CertificateRates,
  names: readonly string[],
  isBelowWildcard: boolean,
  nowMs = 0,
): number {
  return names.filter((name) => rates.admit(name, isBelowWildcard, nowMs)).length;
}

const named = (count: number, parent: string, first = "n"): string[] =>
  Array.from({ length: count }, (_, index) => `${first}${index}.${parent}`);

describe("below a wildcard, where strangers choose the names", () => {
  test("twenty names get a certificate at once, and then one every six hours", () => {
    const rates = new CertificateRates();
    expect(admitted(rates, named(30, "shop.test"), true)).toBe(20);
    expect(admitted(rates, named(5, "shop.test", "later"), true, 6 * HOUR_MS - 1)).toBe(0);
    expect(admitted(rates, named(5, "shop.test", "later"), true, 6 * HOUR_MS)).toBe(1);
  });

  test("no more than 50 in a week, which is what Let's Encrypt allows", () => {
    const rates = new CertificateRates();
    let count = 0;
    for (let minute = 0; minute < 7 * 24 * 60; minute += 1) {
      if (rates.admit(`m${minute}.shop.test`, true, minute * MINUTE_MS)) count += 1;
    }
    expect(count).toBeGreaterThan(40);
    expect(count).toBeLessThanOrEqual(50);
  });

  test("one wildcard takes nothing from another, nor from names that their owners chose", () => {
    const rates = new CertificateRates();
    admitted(rates, named(30, "shop.test"), true);
    expect(admitted(rates, named(5, "other.test"), true)).toBe(5);
    expect(rates.admit("api.shop.test", false, 0)).toBe(true);
  });
});

test("all names together: 200 at once, and then one a minute", () => {
  const rates = new CertificateRates();
  expect(admitted(rates, named(250, "gw.test"), false)).toBe(200);
  expect(rates.admit("late.gw.test", false, MINUTE_MS - 1)).toBe(false);
  expect(rates.admit("late.gw.test", false, MINUTE_MS)).toBe(true);
});

test("the handshakes of a minute share one try, and one that brought nothing is repeated after a quarter of an hour", () => {
  const rates = new CertificateRates();
  const at = (minutes: number): boolean => rates.admit("a.shop.test", true, minutes * MINUTE_MS);
  expect([at(0), at(0.5), at(0.99)]).toEqual([true, true, true]);
  expect([at(1), at(14.9)]).toEqual([false, false]);
  expect(at(15)).toBe(true);
});

test("tries that are shared are counted once", () => {
  const rates = new CertificateRates();
  for (let handshake = 0; handshake < 1_000; handshake += 1) rates.admit("a.shop.test", true, 0);
  expect(admitted(rates, named(30, "shop.test"), true)).toBe(19);
});

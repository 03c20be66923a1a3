import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { type Parameters, parameterSet } from "../../../origin-gpu/core/parameters.ts";
import { runs } from "../../support/runs.ts";

const ALL: Parameters = {
  root: { type: "str", default: "." },
  size: { type: "int", default: "10" },
  rate: { type: "float", default: "0.5" },
  fast: { type: "bool", default: "false" },
  key: { type: "bytes", default: "" },
};

/** The values of a right query. */
function valuesOf(query: string, parameters = ALL): unknown {
  const set = parameterSet(parameters, `/path${query}`);
  if (!set.ok) throw new Error(set.error.detail);
  return JSON.parse(set.value);
}

/** What is wrong with a query. */
function problemOf(query: string, parameters = ALL): unknown {
  const set = parameterSet(parameters, `/path${query}`);
  return set.ok ? undefined : [set.error.code, set.error.detail];
}

describe("a query", () => {
  const defaults = { root: ".", size: 10, rate: 0.5, fast: false, key: "" };

  test.each([
    ["", {}],
    ["?", {}],
    ["?other=1&&=2", {}],
    ["?root=", { root: "" }],
    ["?root=%2Fa+b%C3%A9=c", { root: "/a bé=c" }],
    ["?size=-7", { size: -7 }],
    ["?size=%2B007", { size: 7 }],
    ["?rate=.25", { rate: 0.25 }],
    ["?rate=-1.5E%2B3", { rate: -1500 }],
    ["?fast=True", { fast: true }],
    ["?fast=1", { fast: true }],
    ["?fast=0", { fast: false }],
    ["?key=aGk_-A", { key: "aGk/+A==" }],
    ["?key=aGk/+A==", { key: "aGk/+A==" }],
  ])("%s", (query, values) => {
    expect(valuesOf(query)).toEqual({ ...defaults, ...values });
  });

  test("has 16 KiB of values at most, with their names, as JSON", () => {
    const least = Buffer.byteLength('{"root":""}');
    const root: Parameters = { root: { type: "str" } };
    const query = (bytes: number) => `?root=${"x".repeat(bytes - least)}`;
    for (const bytes of [16_383, 16_384]) {
      expect(valuesOf(query(bytes), root)).toHaveProperty("root");
    }
    expect(problemOf(query(16_385), root)).toEqual([
      "parameter_invalid",
      "the parameters are longer than 16384 bytes together",
    ]);
  });

  test("keeps integers of 64 bits whole", () => {
    for (const size of ["9223372036854775807", "-9223372036854775808"]) {
      const set = parameterSet(ALL, `/?size=${size}`);
      expect(set.ok && set.value).toContain(`"size":${size},`);
    }
  });

  test("tells a float that is whole from an integer", () => {
    for (const [given, json] of [
      ["1", "1.0"],
      ["-0.0", "0.0"],
      ["1e3", "1000.0"],
      ["1e21", "1e+21"],
    ]) {
      const set = parameterSet({ rate: { type: "float" } }, `/?rate=${given}`);
      expect(set).toMatchObject({ value: `{"rate":${json}}` });
    }
  });

  test.each([
    ["?size=ten", "size must be an integer of 64 bits"],
    ["?size=1.0", "size must be an integer of 64 bits"],
    ["?size=", "size must be an integer of 64 bits"],
    ["?size=9223372036854775808", "size must be an integer of 64 bits"],
    ["?rate=nan", "rate must be a finite number"],
    ["?rate=1e999", "rate must be a finite number"],
    ["?rate=0x1", "rate must be a finite number"],
    ["?rate=.", "rate must be a finite number"],
    ["?fast=yes", "fast must be true or false"],
    ["?fast=constructor", "fast must be true or false"],
    ["?key=a", "key must be base64"],
    ["?key=a!b=", "key must be base64"],
    ["?root=%FF", "root must be text in UTF-8"],
    ["?root=%", "root must be text in UTF-8"],
    ["?root=a&root=b", "root stands in the query 2 times"],
    [`?root=${"x".repeat(16_384)}`, "the parameters are longer than 16384 bytes together"],
  ])("%s is invalid", (query, detail) => {
    expect(problemOf(query)).toEqual(["parameter_invalid", detail]);
  });

  test("has to say what has no default", () => {
    const parameters: Parameters = { name: { type: "str" } };
    expect(problemOf("?nam=a", parameters)).toEqual([
      "parameter_missing",
      "the query parameter name is required",
    ]);
    expect(valuesOf("?name=a", parameters)).toEqual({ name: "a" });
  });
});

describe("two sets", () => {
  const values = fc.record({
    root: fc.string({ unit: "grapheme" }),
    size: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
    rate: fc.double({ noNaN: true, noDefaultInfinity: true }),
    fast: fc.boolean(),
    key: fc.uint8Array(),
  });
  type Values = typeof values extends fc.Arbitrary<infer Value> ? Value : never;

  /** The values in one of two spellings, and in one of two orders. */
  const spelt = ({ root, size, rate, fast, key }: Values, isPlain: boolean): string => {
    const digits = `${size < 0n ? -size : size}`.padStart(19, "0");
    const words: [string, string][] = [
      ["root", root],
      ["size", isPlain ? `${size}` : `${size < 0n ? "-" : "+"}${digits}`],
      ["rate", isPlain ? `${rate}` : rate.toExponential()],
      ["fast", isPlain ? `${fast}` : fast ? "1" : "0"],
      ["key", Buffer.from(key).toString(isPlain ? "base64" : "base64url")],
      ["other", `${isPlain}`],
    ];
    return new URLSearchParams(isPlain ? words : words.toReversed()).toString();
  };

  const areSame = (one: Values, other: Values): boolean =>
    one.root === other.root &&
    one.size === other.size &&
    one.rate === other.rate &&
    one.fast === other.fast &&
    Buffer.from(one.key).equals(other.key);

  test("are one if, and only if, their values are the same, in whatever order and form they stand", () => {
    fc.assert(
      fc.property(values, values, fc.boolean(), (one, different, isCopy) => {
        const other = isCopy ? one : different;
        const [first, second] = [
          parameterSet(ALL, `/?${spelt(one, true)}`),
          parameterSet(ALL, `/?${spelt(other, false)}`),
        ];
        if (!first.ok || !second.ok) throw new Error("right values were refused");
        expect(first.value === second.value).toBe(areSame(one, other));
        expect(JSON.parse(first.value)).toMatchObject({
          root: one.root,
          fast: one.fast,
          key: Buffer.from(one.key).toString("base64"),
        });
      }),
      { numRuns: runs(300) },
    );
  });

  test("with a default that is written out are one", () => {
    const set = parameterSet(ALL, "/?key=&fast=0&rate=.5&size=10&root=.");
    expect(set).toEqual(parameterSet(ALL, "/"));
  });
});

import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { type Parameters, parameterSet } from "../../../origin-gpu/core/parameters.ts";
import { runs } from "../../support/runs.ts";

const ALL: Parameters = {
  root: { type: "str", default: "." },
  size: { type: "int", default: "10" },
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
  const defaults = { root: ".", size: 10, fast: false, key: "" };

  test.each([
    ["", {}],
    ["?", {}],
    ["?other=1&&=2", {}],
    ["?root=", { root: "" }],
    ["?root=%2Fa+b%C3%A9=c", { root: "/a bé=c" }],
    ["?size=-7", { size: -7 }],
    ["?size=%2B007", { size: 7 }],
    ["?fast=True", { fast: true }],
    ["?fast=1", { fast: true }],
    ["?fast=0", { fast: false }],
    ["?key=aGk_-A", { key: "aGk/+A==" }],
    ["?key=aGk/+A==", { key: "aGk/+A==" }],
  ])("%s", (query, values) => {
    expect(valuesOf(query)).toEqual({ ...defaults, ...values });
  });

  test("keeps integers of 64 bits whole", () => {
    for (const size of ["9223372036854775807", "-9223372036854775808"]) {
      const set = parameterSet(ALL, `/?size=${size}`);
      expect(set.ok && set.value).toContain(`"size":${size},`);
    }
  });

  test.each([
    ["?size=ten", "size must be an integer of 64 bits"],
    ["?size=1.0", "size must be an integer of 64 bits"],
    ["?size=", "size must be an integer of 64 bits"],
    ["?size=9223372036854775808", "size must be an integer of 64 bits"],
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

test("the same values are the same set, in whatever order and form they stand", () => {
  const values = fc.record(
    { root: fc.string(), size: fc.integer(), fast: fc.boolean(), other: fc.string() },
    { requiredKeys: [] },
  );
  fc.assert(
    fc.property(values, fc.array(fc.nat(), { minLength: 4, maxLength: 4 }), (given, order) => {
      const query = Object.entries(given)
        .map(([name, value]) => `${name}=${encodeURIComponent(String(value))}`)
        .toSorted((one, two) => (order[one.length % 4] ?? 0) - (order[two.length % 4] ?? 0))
        .join("&");
      const { other: _, ...known } = { root: ".", size: 10, fast: false, key: "", ...given };
      const expected = `{"root":${JSON.stringify(known.root)},"size":${known.size},"fast":${known.fast},"key":""}`;
      const set = parameterSet(ALL, `/?${query}`);
      expect(set.ok && set.value).toBe(expected);
    }),
    { numRuns: runs(300) },
  );
});

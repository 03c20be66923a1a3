import { expect, it } from "vitest";
import {
  appendHeaders,
  eachHeader,
  filterHeaders,
  getHeader,
  hasHeader,
  setHeader,
} from "../../base/headers.ts";

const LINES = ["accept", "a", "set-cookie", "one", "set-cookie", "two", "empty", ""];

it("visits each line in order, several of one name included", () => {
  const seen: string[][] = [];
  eachHeader(LINES, (name, value) => seen.push([name, value]));
  expect(seen).toEqual([
    ["accept", "a"],
    ["set-cookie", "one"],
    ["set-cookie", "two"],
    ["empty", ""],
  ]);
});

it("finds a name, never a value that reads like it", () => {
  expect(getHeader(LINES, "set-cookie")).toBe("one");
  expect(getHeader(LINES, "one")).toBeUndefined();
  expect(hasHeader(LINES, "empty")).toBe(true);
  expect(hasHeader(LINES, "a")).toBe(false);
});

it("replaces all lines of a name, and leaves the list that it was given alone", () => {
  expect(setHeader(LINES, "set-cookie", "three")).toEqual([
    "accept",
    "a",
    "empty",
    "",
    "set-cookie",
    "three",
  ]);
  expect(LINES).toHaveLength(8);
});

it("keeps the lines that a test passes", () => {
  expect(filterHeaders(LINES, (name) => name === "set-cookie")).toEqual([
    "set-cookie",
    "one",
    "set-cookie",
    "two",
  ]);
});

it("keeps cookies apart in the platform's headers", () => {
  const headers = new Headers();
  appendHeaders(headers, LINES);
  expect(headers.getSetCookie()).toEqual(["one", "two"]);
});

/**
 * The parameters of an endpoint: query parameters that select its containers. Requests with the same values after the
 * defaults are one set, in whatever order and form they write them. Pure.
 */
import { err, ok, type Result } from "../../base/result.ts";
import { KIB } from "../../base/units.ts";

export type ParameterType = "str" | "int" | "float" | "bool" | "bytes";

export interface Parameter {
  readonly type: ParameterType;
  /** As a query would have it; absent for one that each request has to say. */
  readonly default?: string;
}

export type Parameters = Readonly<Record<string, Parameter>>;

/** Names and values together, as JSON. */
const MAX_SET_BYTES = 16 * KIB;

/** As large as databases and most languages have them. */
const LEAST_INTEGER = -(2n ** 63n);
const MOST_INTEGER = 2n ** 63n - 1n;

const BOOLEANS: ReadonlyMap<string, boolean> = new Map([
  ["true", true],
  ["1", true],
  ["false", false],
  ["0", false],
]);

const RIGHT_FORMS: Readonly<Record<ParameterType, string>> = {
  str: "text in UTF-8",
  int: "an integer of 64 bits",
  float: "a finite number",
  bool: "true or false",
  bytes: "base64",
};

export interface WrongParameter {
  readonly code: "parameter_missing" | "parameter_invalid";
  readonly detail: string;
}

/**
 * The values that a request asks for, as JSON of an object: names in the order of the configuration, bytes as base64.
 * Equal sets have equal texts.
 * @param target path and query
 */
export function parameterSet(
  parameters: Parameters,
  target: string,
): Result<string, WrongParameter> {
  const given = queryOf(target);
  const members: string[] = [];
  for (const [name, { type, default: byDefault }] of Object.entries(parameters)) {
    const values = given.get(name) ?? [];
    if (values.length > 1) return invalid(`${name} stands in the query ${values.length} times`);
    const text = values.length === 1 ? values[0] : byDefault;
    if (text === undefined && values.length === 0) {
      return err({ code: "parameter_missing", detail: `the query parameter ${name} is required` });
    }
    const json = text === undefined ? undefined : jsonOf(type, text);
    if (json === undefined) return invalid(`${name} must be ${RIGHT_FORMS[type]}`);
    members.push(`${JSON.stringify(name)}:${json}`);
  }
  const set = `{${members.join(",")}}`;
  if (Buffer.byteLength(set) > MAX_SET_BYTES) {
    return invalid(`the parameters are longer than ${MAX_SET_BYTES} bytes together`);
  }
  return ok(set);
}

export function isJsonOf(type: ParameterType, text: string): boolean {
  return jsonOf(type, text) !== undefined;
}

/** @returns undefined for a value of another type */
function jsonOf(type: ParameterType, text: string): string | undefined {
  switch (type) {
    case "str":
      return JSON.stringify(text);
    case "int":
      return integerOf(text)?.toString();
    case "float":
      return floatOf(text);
    case "bool":
      return BOOLEANS.get(text.toLowerCase())?.toString();
    case "bytes":
      return base64Of(text);
  }
}

function integerOf(text: string): bigint | undefined {
  if (!/^[+-]?\d{1,30}$/.test(text)) return undefined;
  const value = BigInt(text.replace("+", ""));
  return value >= LEAST_INTEGER && value <= MOST_INTEGER ? value : undefined;
}

/** One that is whole has `.0`, by which readers of JSON tell it from an integer. */
function floatOf(text: string): string | undefined {
  if (!/^[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?$/i.test(text)) return undefined;
  const value = Number(text);
  if (!Number.isFinite(value)) return undefined;
  const json = JSON.stringify(value);
  return /^-?\d+$/.test(json) ? `${json}.0` : json;
}

/** RFC 4648, 4 and 5, with padding or without. A query's `+` reads as a space. */
function base64Of(text: string): string | undefined {
  const standard = text.replaceAll(" ", "+").replaceAll("-", "+").replaceAll("_", "/");
  const bare = standard.replace(/={0,2}$/, "");
  if (!/^[A-Za-z0-9+/]*$/.test(bare) || bare.length % 4 === 1) return undefined;
  return JSON.stringify(Buffer.from(bare, "base64").toString("base64"));
}

/** Values by name; undefined for one that is no UTF-8. */
function queryOf(target: string): Map<string, (string | undefined)[]> {
  const given = new Map<string, (string | undefined)[]>();
  const begin = target.indexOf("?");
  if (begin === -1) return given;
  for (const part of target.slice(begin + 1).split("&")) {
    const [name = "", ...rest] = part.split("=");
    const key = decoded(name);
    if (key === undefined || key === "") continue;
    given.set(key, [...(given.get(key) ?? []), decoded(rest.join("="))]);
  }
  return given;
}

function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text.replaceAll("+", " "));
  } catch {
    return undefined;
  }
}

function invalid(detail: string): Result<never, WrongParameter> {
  return err({ code: "parameter_invalid", detail });
}

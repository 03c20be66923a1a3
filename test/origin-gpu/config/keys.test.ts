/** The rows of the table of keys: an editor and the page show them as they stand. */
import { parse } from "smol-toml";
import { describe, expect, test } from "vitest";
import * as z from "zod";
import { APP_KEYS, ENDPOINT_KEYS, type KeyTable } from "../../../origin-gpu/config/keys.ts";
import { defaultValueOf } from "../../../origin-gpu/config/keys/default-value.ts";
import { valueWords } from "../../../tools/generate/key-values.ts";

const KEYS: KeyTable = { ...APP_KEYS, ...ENDPOINT_KEYS };

describe.each(Object.entries(KEYS))("%s", (_name, key) => {
  test("has an example that it takes", () => {
    const example = parse(`value = ${key.text.example}`)["value"];
    expect(key.schema.safeParse(example)).toMatchObject({ success: true });
  });

  test("says no bound of its value twice", () => {
    const { minimum, maximum } = z.toJSONSchema(key.schema, { io: "input" });
    const bounds = [minimum, maximum].filter((bound) => bound !== undefined && bound > 1);
    for (const bound of bounds) {
      expect(valueWords(key)).toMatch(new RegExp(`\\b${bound}\\b`));
      expect(key.text.meaning).not.toMatch(new RegExp(`\\b${bound}\\b`));
    }
  });
});

test("the words of a value are those of a mistake, with unit and range, and code in backticks", () => {
  expect(valueWords(ENDPOINT_KEYS.timeout)).toBe("a number of seconds from 1 to 86400");
  expect(valueWords(ENDPOINT_KEYS.env)).toBe('a table of text, such as `{ MODEL = "small" }`');
  expect(valueWords(ENDPOINT_KEYS.on_disconnect)).toMatch(/^`"cancel"`, `"keep"` or a number of /);
});

test("a default is a value where it is one", () => {
  expect(defaultValueOf(ENDPOINT_KEYS.timeout)).toBe(300);
  expect(defaultValueOf(ENDPOINT_KEYS.stop_signal)).toBe("SIGTERM");
  expect(defaultValueOf(ENDPOINT_KEYS.startup_timeout)).toBeUndefined();
  expect(defaultValueOf(ENDPOINT_KEYS.boxes)).toBeUndefined();
});

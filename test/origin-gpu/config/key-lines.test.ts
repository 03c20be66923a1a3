import fc from "fast-check";
import { parse } from "smol-toml";
import { describe, expect, test } from "vitest";

import { type KeyPath, locateKeys } from "../../../origin-gpu/config/key-lines.ts";

/** The line on which a marker stands in a document. */
function lineWith(text: string, marker: string): number {
  return text.split("\n").findIndex((line) => line.includes(marker)) + 1;
}

describe("the line of a key", () => {
  const text = `# app = "not this one"
app = "demo"                                  # on-app
note = """
app = 'still text'
endpoint = [ """                              # on-note-end
"quoted.key" = 'C:\\'                         # on-quoted
after = 1                                     # on-after

[[endpoint]]                                  # on-first
function = "one"                              # on-first-function
web_server = [                                # on-command
  "serve", # ] "
  "--port",                                   # on-port-word
  '$PORT',
]
env = { A = "}", "B,}" = [1, { C = 2 }] }     # on-env
[endpoint.auth.jwt]                           # on-jwt
issuer = 'i'                                  # on-issuer

  [[ endpoint ]]                              # on-second
  env.MODEL = "small"                         # on-dotted
  retries.max_retries = 3                     # on-retries
  on = 1979-05-27 07:32:00                    # on-date
`;
  test.each<[KeyPath, string]>([
    [["app"], "on-app"],
    [["quoted.key"], "on-quoted"],
    [["after"], "on-after"],
    [["endpoint"], "on-first"],
    [["endpoint", 0], "on-first"],
    [["endpoint", 0, "function"], "on-first-function"],
    [["endpoint", 0, "web_server"], "on-command"],
    [["endpoint", 0, "web_server", 1], "on-port-word"],
    [["endpoint", 0, "env"], "on-env"],
    [["endpoint", 0, "env", "B,}", 1, "C"], "on-env"],
    [["endpoint", 0, "auth"], "on-jwt"],
    [["endpoint", 0, "auth", "jwt", "issuer"], "on-issuer"],
    [["endpoint", 1], "on-second"],
    [["endpoint", 1, "env", "MODEL"], "on-dotted"],
    [["endpoint", 1, "retries"], "on-retries"],
    [["endpoint", 1, "on"], "on-date"],
  ])("%j", (path, marker) => {
    expect(() => parse(text)).not.toThrow();
    expect(locateKeys(text)(path)).toBe(lineWith(text, marker));
  });

  test("a key that is not there has the line of the table that lacks it", () => {
    expect(locateKeys(text)(["endpoint", 1, "function"])).toBe(lineWith(text, "on-second"));
    expect(locateKeys(text)(["missing"])).toBe(1);
  });
});

/** Values whose text tempts a scanner to see structure where there is none, with the lines they take. */
const value = fc.constantFrom(
  "1",
  "true",
  "1.5e3",
  '"a = \\"b\\" # ] } [[x]]"',
  "'\\'",
  '"""\n[[endpoint]]\nk0 = 1\n\\""""',
  "'''it''\n# k1 = \"'''",
  '""""two quotes at the end""""',
  "[]",
  "[ # ]\n  1,\n  [\"]\", '}'],\n]",
  "{}",
  '{ a = 1, "b.c" = { d = [ "}" ] } }',
);
const statement = fc.oneof(
  fc.constant({ kind: "noise" as const, text: "" }),
  fc.constant({ kind: "noise" as const, text: '# k9 = "' }),
  fc.constant({ kind: "table" as const, text: "[[endpoint]]" }),
  fc.record({
    kind: fc.constant("pair" as const),
    indent: fc.constantFrom("", "  "),
    quoted: fc.boolean(),
    value,
  }),
);

test("every key of any document is found on the line where it was written", () => {
  fc.assert(
    fc.property(fc.array(statement, { maxLength: 30, size: "max" }), (statements) => {
      const lines: string[] = [];
      const expected: { path: KeyPath; line: number }[] = [];
      let tables = 0;
      for (const [index, part] of statements.entries()) {
        const line = lines.length + 1;
        const key = `k${index}`;
        if (part.kind === "table") expected.push({ path: ["endpoint", tables++], line });
        if (part.kind !== "pair") {
          lines.push(part.text);
          continue;
        }
        const path = tables === 0 ? [key] : ["endpoint", tables - 1, key];
        expected.push({ path, line });
        const written = part.quoted ? `"${key}"` : key;
        lines.push(...`${part.indent}${written} = ${part.value} # "x" = [`.split("\n"));
      }
      const text = lines.join("\n");
      parse(text);
      const lineOf = locateKeys(text);
      for (const { path, line } of expected) expect(lineOf(path)).toBe(line);
    }),
  );
});

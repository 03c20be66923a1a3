import { expect, test } from "vitest";
import { helpOf, parseArguments, type CommandDescription } from "../../cli/arguments.ts";
import { UsageError } from "../../cli/failure.ts";

const COMMAND = {
  name: "try",
  summary: "Tries.",
  positionals: ["APP", "[FUNCTION]"],
  options: {
    port: { type: "string", value: "PORT", summary: "the port" },
    loud: { type: "boolean", summary: "says more" },
    later: { type: "string", summary: "", notYet: true },
  },
} as const satisfies CommandDescription;

test("values, flags and positionals are told apart wherever they stand", () => {
  const { values, positionals } = parseArguments(COMMAND, [
    "--loud",
    "a",
    "--port=1",
    "b",
    "-e",
    "x",
  ]);
  expect(values).toEqual({ loud: true, port: "1", env: "x" });
  expect(positionals).toEqual(["a", "b"]);
});

test("what follows -- is positional even when it looks like a flag", () => {
  expect(parseArguments(COMMAND, ["--", "--port"]).positionals).toEqual(["--port"]);
});

test.each([
  [["a", "--prot", "1"], "unknown option --prot; did you mean --port?"],
  [["a", "-x"], "unknown option -x; see postern try --help"],
  [["a", "--nothing-like-it"], "unknown option --nothing-like-it; see postern try --help"],
  [["a", "--__proto__"], "unknown option --__proto__; see postern try --help"],
  [["a", "--port"], "--port needs a value: --port PORT"],
  [["a", "--port", "--loud"], "--port needs a value: --port PORT"],
  [["a", "--loud=yes"], "--loud takes no value"],
  [["a", "--later", "1"], "--later: not available yet"],
  [[], "APP is missing: postern try APP [FUNCTION]"],
  // As an unset variable of a shell.
  [[""], "APP is missing: postern try APP [FUNCTION]"],
  [
    ["a", "b", "c"],
    'unexpected argument "c"; usage: postern try APP [FUNCTION] [options]; see postern try --help',
  ],
])("%j is refused with what would be right", (argv, message) => {
  expect(() => parseArguments(COMMAND, argv)).toThrow(new UsageError(message));
});

test("--help needs none of the positionals", () => {
  expect(parseArguments(COMMAND, ["-h"]).values.help).toBe(true);
});

test("the help shows every option but those that are not there yet", () => {
  const help = helpOf(COMMAND);
  expect(help).toContain("Usage: postern try APP [FUNCTION] [options]");
  expect(help).toMatch(/--port PORT +the port/);
  expect(help).toMatch(/-e, --env NAME +the environment/);
  expect(help).not.toContain("--later");
});

test("a command to which an environment means nothing refuses one, and does not list the option", () => {
  const command = { ...COMMAND, noEnvironment: "it is of the whole workspace" };
  const message = "-e: it is of the whole workspace; leave it out";
  expect(() => parseArguments(command, ["a", "-e", "main"])).toThrow(new UsageError(message));
  expect(helpOf(command)).not.toContain("--env");
});

/**
 * A command's description, and the two things made from it: its parsed arguments and its help. A typing error becomes
 * one line that names the right form (exit code 2).
 */

import { parseArgs } from "node:util";
import { UsageError } from "./failure.ts";
import { nearest } from "../base/edit-distance.ts";

export interface Option {
  readonly type: "string" | "boolean";
  readonly short?: string;
  /** How the value is called in the help, e.g. `SECONDS`; for strings only. */
  readonly value?: string;
  readonly summary: string;
  /** Named by the contract, not built yet: listed nowhere and refused with a clear line. */
  readonly notYet?: true;
}

export type Options = Readonly<Record<string, Option>>;

export interface CommandDescription<O extends Options = Options> {
  readonly name: string;
  readonly summary: string;
  /**
   * Positional arguments, in order, as the help shows them: `[NAME]` is optional, and a last one with `…`
   * in it may be there several times.
   */
  readonly positionals: readonly string[];
  readonly options: O;
  /** All that stands behind the first positional argument is somebody else's, options too. */
  readonly passesOn?: true;
  /** The reason why `--env` means nothing to the command, which then refuses the option and does not list it. */
  readonly noEnvironment?: string;
  /** Lines under the options. */
  readonly notes?: readonly string[];
}

/** Understood by every command, but for what its description takes out. */
export const COMMON_OPTIONS = {
  env: { type: "string", short: "e", value: "NAME", summary: "the environment" },
  json: { type: "boolean", summary: "print results as JSON" },
  help: { type: "boolean", short: "h", summary: "print this help" },
} as const satisfies Options;

export type OptionValues<O extends Options> = {
  readonly [K in keyof O]?: O[K]["type"] extends "boolean" ? boolean : string;
};

export interface Arguments<O extends Options> {
  readonly values: OptionValues<O & typeof COMMON_OPTIONS>;
  readonly positionals: readonly string[];
}

/** Parses what follows the command's name; throws a UsageError for whatever isn't the command's. */
export function parseArguments<O extends Options>(
  command: CommandDescription<O>,
  argv: readonly string[],
): Arguments<O> {
  const options: Options = { ...command.options, ...COMMON_OPTIONS };
  const { own, rest } = split(command, argv, options);
  const { tokens } = parseArgs({ args: own, options, strict: false, tokens: true });
  const values: Record<string, string | boolean> = {};
  const positionals: string[] = [];
  for (const token of tokens) {
    if (token.kind === "positional") positionals.push(token.value);
    if (token.kind !== "option") continue;
    const option = Object.hasOwn(options, token.name) ? options[token.name] : undefined;
    if (option === undefined) throw unknownOption(command, token.rawName, options);
    if (option.notYet === true) throw new UsageError(`${token.rawName}: not available yet`);
    if (option.type === "boolean" && token.value !== undefined) {
      throw new UsageError(`${token.rawName} takes no value`);
    }
    if (token.name === "env" && command.noEnvironment !== undefined) {
      throw new UsageError(`${token.rawName}: ${command.noEnvironment}; leave it out`);
    }
    // In `--state --json` parseArgs takes the next flag for the value.
    const missing =
      token.value === undefined || (!token.inlineValue && token.value.startsWith("--"));
    if (option.type === "string" && missing) {
      throw new UsageError(
        `${token.rawName} needs a value: ${token.rawName} ${option.value ?? "VALUE"}`,
      );
    }
    values[token.name] = token.value ?? true;
  }
  positionals.push(...rest);
  if (values["help"] !== true) checkPositionals(command, positionals);
  return { values: values as OptionValues<O & typeof COMMON_OPTIONS>, positionals };
}

/** A command's own arguments, up to its first positional one, and those that it passes on. */
function split(
  { passesOn }: CommandDescription,
  argv: readonly string[],
  options: Options,
): { readonly own: string[]; readonly rest: readonly string[] } {
  if (passesOn !== true) return { own: [...argv], rest: [] };
  const { tokens } = parseArgs({ args: [...argv], options, strict: false, tokens: true });
  const first = tokens.find(({ kind }) => kind === "positional");
  const end = first === undefined ? argv.length : first.index + 1;
  return { own: argv.slice(0, end), rest: argv.slice(end) };
}

/** `usage`, what it does, and each option on a line of its own. */
export function helpOf(command: CommandDescription): string {
  const options = Object.entries({ ...command.options, ...COMMON_OPTIONS }).filter(
    ([name, option]) =>
      !("notYet" in option) && !(name === "env" && command.noEnvironment !== undefined),
  );
  const left = options.map(([name, option]: [string, Option]) => {
    const short = option.short === undefined ? "    " : `-${option.short}, `;
    const value = option.type === "string" ? ` ${option.value ?? "VALUE"}` : "";
    return `  ${short}--${name}${value}`;
  });
  const width = Math.max(...left.map((text) => text.length)) + 2;
  const words = command.passesOn
    ? ["[options]", ...command.positionals]
    : [...command.positionals, "[options]"];
  const usage = ["postern", command.name, ...words].join(" ");
  const lines = options.map(
    ([, option], index) => (left[index] ?? "").padEnd(width) + option.summary,
  );
  const notes = command.notes === undefined ? [] : ["", ...command.notes];
  return [`Usage: ${usage}`, "", command.summary, "", "Options:", ...lines, ...notes].join("\n");
}

function unknownOption(command: CommandDescription, rawName: string, options: Options): UsageError {
  const known = Object.keys(options).map((name) => `--${name}`);
  const meant = nearest(rawName, known);
  const hint =
    meant === undefined ? `see postern ${command.name} --help` : `did you mean ${meant}?`;
  return new UsageError(`unknown option ${rawName}; ${hint}`);
}

function checkPositionals(command: CommandDescription, given: readonly string[]): void {
  const required = command.positionals.filter((name) => !name.startsWith("["));
  const usage = ["postern", command.name, ...command.positionals].join(" ");
  // An unset variable of a shell is an empty word.
  const missing = required.find((_name, index) => (given[index] ?? "") === "");
  if (missing !== undefined) throw new UsageError(`${missing} is missing: ${usage}`);
  const isRepeated = command.positionals.at(-1)?.includes("…") === true;
  if (given.length > command.positionals.length && !isRepeated) {
    throw new UsageError(
      `unexpected argument "${given[command.positionals.length]}"; usage: ${usage} [options]; see postern ${command.name} --help`,
    );
  }
}

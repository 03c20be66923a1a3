/**
 * The `postern` command: finds the subcommand, runs it, and turns what went wrong into one line on
 * stderr and an exit code (0 done, 1 refused or failed, 2 wrong usage).
 */

import { readFileSync } from "node:fs";
import { helpOf, parseArguments } from "./arguments.ts";
import type { Command } from "./command.ts";
import { Failure, UsageError } from "./failure.ts";
import { nearest } from "./nearest.ts";
import { printNotice, printResult, tolerateClosedOutput } from "./output.ts";

/** Loaded when asked for: `postern url` needs neither esbuild nor the agent. */
const COMMANDS: Readonly<Record<string, () => Promise<Command>>> = {
  up: async () => (await import("./commands/up.ts")).UP,
  gateway: async () => (await import("./commands/gateway.ts")).GATEWAY,
  serve: async () => (await import("./commands/serve.ts")).SERVE,
  url: async () => (await import("./commands/url.ts")).URL_COMMAND,
};

/** Named by the contract and not built yet: refused by name, so that nobody looks for a typing error. */
const NOT_YET = new Set([
  "deploy",
  "origin",
  "app",
  "container",
  "environment",
  "proxy-token",
  "connect-token",
  "token",
  "profile",
  "config",
  "secret",
  "domain",
  "box",
  "forward",
  "call",
  "audit",
  "doctor",
]);

tolerateClosedOutput();
try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof Failure)) throw error;
  printNotice(`postern: ${error.message}`);
  process.exitCode = error.exitCode;
}

async function main(argv: readonly string[]): Promise<number> {
  const [name, ...rest] = argv;
  if (name === undefined) {
    printNotice(await overview());
    return 2;
  }
  if (name === "--help" || name === "-h" || name === "help") {
    printResult(await overview());
    return 0;
  }
  if (name === "--version") {
    printResult(version());
    return 0;
  }
  if (NOT_YET.has(name)) throw new Failure(`${name}: not available yet`);
  const load = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (load === undefined) throw unknownCommand(name);
  const command = await load();
  const args = parseArguments(command.description, rest);
  if (args.values.help === true) {
    printResult(helpOf(command.description));
    return 0;
  }
  return command.run(args);
}

function unknownCommand(name: string): UsageError {
  const known = Object.keys(COMMANDS);
  if (name.startsWith("-"))
    return new UsageError(`${name}: a command comes first; see postern --help`);
  const meant = nearest(name, [...known, ...NOT_YET]);
  const hint = meant === undefined ? `one of ${known.join(", ")}` : `did you mean ${meant}?`;
  return new UsageError(`unknown command ${name}; ${hint}`);
}

async function overview(): Promise<string> {
  const commands = await Promise.all(Object.values(COMMANDS).map((load) => load()));
  const lines = commands.map(
    ({ description }) => `  ${description.name.padEnd(10)}${description.summary}`,
  );
  return [
    "Usage: postern <command> [options]",
    "",
    "Public endpoints for the GPU machines that you own.",
    "",
    "Commands:",
    ...lines,
    "",
    "postern <command> --help describes each.",
  ].join("\n");
}

function version(): string {
  const manifest = readFileSync(new URL("../package.json", import.meta.url), "utf8");
  return (JSON.parse(manifest) as { version: string }).version;
}

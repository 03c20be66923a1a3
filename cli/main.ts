/**
 * The `postern` command: finds the subcommand and runs it. A failure becomes one line on stderr and an exit code (0
 * done, 1 refused or failed, 2 wrong usage).
 */

import { readFileSync } from "node:fs";
import { helpOf, parseArguments } from "./arguments.ts";
import type { Command, CommandGroup } from "./command.ts";
import { CommandFailure, UsageError } from "./failure.ts";
import { nearest } from "../base/edit-distance.ts";
import { checkLogVariables, linesWritten } from "./observer.ts";
import { printNotice, printResult, resultsWritten, tolerateClosedOutput } from "./output.ts";

/** Each is loaded when it runs: `postern url` needs neither esbuild nor the agent. */
const COMMANDS: Readonly<Record<string, () => Promise<Command | CommandGroup>>> = {
  up: async () => (await import("./commands/up.ts")).UP,
  gateway: async () => (await import("./commands/gateway.ts")).GATEWAY,
  serve: async () => (await import("./commands/serve.ts")).SERVE,
  run: async () => (await import("./commands/run.ts")).RUN,
  forward: async () => (await import("./commands/forward.ts")).FORWARD,
  origin: async () => (await import("./commands/origin.ts")).ORIGIN,
  deploy: async () => (await import("./commands/deploy.ts")).DEPLOY,
  app: async () => (await import("./commands/app.ts")).APP,
  url: async () => (await import("./commands/url.ts")).URL_COMMAND,
  "proxy-token": async () => (await import("./commands/proxy-token.ts")).PROXY_TOKEN,
  "connect-token": async () => (await import("./commands/connect-token.ts")).CONNECT_TOKEN,
  "sign-in": async () => (await import("./commands/sign-in.ts")).SIGN_IN,
  token: async () => (await import("./commands/token.ts")).TOKEN,
  profile: async () => (await import("./commands/profile.ts")).PROFILE,
  config: async () => (await import("./commands/config.ts")).CONFIG,
  environment: async () => (await import("./commands/environment.ts")).ENVIRONMENT,
  secret: async () => (await import("./commands/secret.ts")).SECRET,
  domain: async () => (await import("./commands/domain.ts")).DOMAIN,
  box: async () => (await import("./commands/box.ts")).BOX,
  container: async () => (await import("./commands/container.ts")).CONTAINER,
  usage: async () => (await import("./commands/usage.ts")).USAGE,
  audit: async () => (await import("./commands/audit.ts")).AUDIT,
  doctor: async () => (await import("./commands/doctor.ts")).DOCTOR,
  call: async () => (await import("./commands/call.ts")).CALL,
};

tolerateClosedOutput();
try {
  checkLogVariables(process.env);
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof CommandFailure)) throw error;
  printNotice(`postern: ${error.message}`);
  process.exitCode = error.exitCode;
}
await resultsWritten();
await linesWritten();
// A command that returned has ended: nothing that it began and gave up may hold the process.
process.exit();

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
  const load = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (load === undefined) throw unknownCommand(name);
  const found = await load();
  return "run" in found ? run(found, rest) : runOfGroup(found, rest);
}

async function run(command: Command, argv: readonly string[]): Promise<number> {
  const args = parseArguments(command.description, argv);
  if (args.values.help === true) {
    printResult(helpOf(command.description));
    return 0;
  }
  return command.run(args);
}

async function runOfGroup(group: CommandGroup, argv: readonly string[]): Promise<number> {
  const [name, ...rest] = argv;
  if (name === "--help" || name === "-h") {
    printResult(overviewOf(group));
    return 0;
  }
  const known = Object.keys(group.commands);
  if (name === undefined || name.startsWith("-")) {
    throw new UsageError(`${group.name}: which one? ${known.join(", ")}`);
  }
  const command = Object.hasOwn(group.commands, name) ? group.commands[name] : undefined;
  if (command !== undefined) return run(command, rest);
  const meant = nearest(name, known);
  const hint = meant === undefined ? `one of ${known.join(", ")}` : `did you mean ${meant}?`;
  throw new UsageError(`unknown command ${group.name} ${name}; ${hint}`);
}

function unknownCommand(name: string): UsageError {
  const known = Object.keys(COMMANDS);
  if (name.startsWith("-"))
    return new UsageError(`${name}: a command comes first; see postern --help`);
  const meant = nearest(name, known);
  const hint = meant === undefined ? `one of ${known.join(", ")}` : `did you mean ${meant}?`;
  return new UsageError(`unknown command ${name}; ${hint}`);
}

async function overview(): Promise<string> {
  const commands = await Promise.all(Object.values(COMMANDS).map((load) => load()));
  const described = commands.map((command) => ("run" in command ? command.description : command));
  return [
    "Usage: postern <command> [options]",
    "",
    "Public endpoints for the GPU machines that you own.",
    "",
    "Commands:",
    ...columnsOf(described),
    "",
    "postern <command> --help describes each.",
  ].join("\n");
}

function columnsOf(
  described: readonly { readonly name: string; readonly summary: string }[],
): string[] {
  const width = Math.max(...described.map(({ name }) => name.length)) + 2;
  return described.map(({ name, summary }) => `  ${name.padEnd(width)}${summary}`);
}

function overviewOf(group: CommandGroup): string {
  const described = Object.values(group.commands).map(({ description }) => description);
  return [
    `Usage: postern ${group.name} <command> [options]`,
    "",
    group.summary,
    "",
    "Commands:",
    ...columnsOf(described),
    "",
    `postern ${group.name} <command> --help describes each.`,
  ].join("\n");
}

function version(): string {
  const manifest = readFileSync(new URL("../package.json", import.meta.url), "utf8");
  return (JSON.parse(manifest) as { version: string }).version;
}

/**
 * The README's tour, run as it stands there, by a newcomer: in a copy of the checkout without
 * node_modules, with the machine's own Node, section after section. What a block's first words mean:
 *
 *   sh           runs to its end; a `text` block right after it is its whole output
 *   sh server    runs on until the section ends, then gets a Ctrl-C; each line of the `text` block is
 *                awaited, in any order
 *   LANG FILE    the content of that file
 *   js           runs with a browser's WebSocket; the `text` block is what it logs
 *   console      is shown only
 *
 * In a `text` block, … stands for anything. Nothing else differs from what the reader types than the
 * port: 8787 may be taken on the machine that runs this.
 */
import { execFile, execFileSync } from "node:child_process";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { promisify } from "node:util";
import { runInNewContext } from "node:vm";
import { Agent, WebSocket } from "undici";
import { afterEach, beforeAll, expect, test } from "vitest";

import { ROOT } from "../support/harness.ts";
import { type FencedBlock, fencedBlocks } from "../support/markdown.ts";
import { ManagedProcess } from "../support/processes.ts";
import { freePort, temporaryDirectory } from "../support/temporary.ts";

const COMMAND_TIMEOUT_MS = 180_000;
const SERVER_TIMEOUT_MS = 60_000;
const SECTION_TIMEOUT_MS = 300_000;
const CTRL_C_TIMEOUT_MS = 20_000;
const SNIPPET_TIMEOUT_MS = 20_000;
const README_PORT = "8787";

const blocks = fencedBlocks(readFileSync(join(ROOT, "README.md"), "utf8"));
const sections = Map.groupBy(blocks, ({ section }) => section);
const tour = [...sections].filter(([, inside]) => inside.some(({ language }) => language === "sh"));

const directory = join(temporaryDirectory(), "postern");
let port: string;
let environment: NodeJS.ProcessEnv;
/** What runs in the reader's other terminals. */
const servers: ManagedProcess[] = [];

beforeAll(async () => {
  port = String(await freePort());
  environment = newcomersEnvironment();
  const list = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
  const files = execFileSync("git", list, { cwd: ROOT, encoding: "utf8" }).split("\0");
  // The index still lists a file that was just deleted.
  for (const file of files.filter((name) => name !== "" && existsSync(join(ROOT, name)))) {
    mkdirSync(dirname(join(directory, file)), { recursive: true });
    copyFileSync(join(ROOT, file), join(directory, file));
  }
});

afterEach(async () => {
  for (const server of servers.splice(0).toReversed()) await pressControlC(server);
});

test("the tour installs, starts, serves, deploys, locks, and takes gateway and box apart", () => {
  const commands = blocks.filter(({ language }) => language === "sh").map(({ content }) => content);
  const parts = [
    "npm install",
    "npm start",
    "up --config",
    "deploy",
    "app rollback",
    "proxy-token create",
    "gateway",
    "origin",
    "serve",
  ];
  expect(parts.filter((part) => !commands.some((text) => text.includes(part)))).toEqual([]);
});

test.each(tour)(
  "%s",
  async (_section, inside) => {
    for (const [index, block] of inside.entries()) {
      const next = inside[index + 1];
      const output = next?.language === "text" ? withOwnPort(next.content) : undefined;
      await follow(block, output);
    }
  },
  SECTION_TIMEOUT_MS,
);

async function follow(block: FencedBlock, output: string | undefined): Promise<void> {
  const place = `README.md:${block.line}`;
  if (block.language === "sh" && block.argument === "server") {
    if (output === undefined) throw new Error(`${place}: what a server prints must be shown`);
    const server = inTerminal(block.content);
    servers.push(server);
    for (const line of output.split("\n")) {
      await server.waitForOutput(patternOf(line), SERVER_TIMEOUT_MS);
    }
  } else if (block.language === "sh") {
    const printed = await run(block.content);
    if (output !== undefined) expect(printed.trim(), place).toMatch(wholly(output));
  } else if (block.language === "js") {
    if (output === undefined) throw new Error(`${place}: what the snippet logs must be shown`);
    await expect(firstLog(withOwnPort(block.content)), place).resolves.toBe(output);
  } else if (block.argument !== "") {
    writeFileSync(join(directory, block.argument), `${withOwnPort(block.content)}\n`);
  }
}

/** Runs commands to their end; resolves with what they print to stdout. */
async function run(commands: string): Promise<string> {
  const script = `set -euo pipefail\n${withOwnPort(commands)}`;
  const { stdout } = await promisify(execFile)("bash", ["-c", script], {
    cwd: directory,
    env: environment,
    timeout: COMMAND_TIMEOUT_MS,
  });
  return stdout;
}

/** A command in a terminal of its own, which is a process group; both its outputs are shown there. */
function inTerminal(command: string): ManagedProcess {
  const started = `${withPortFlag(command)} 2>&1`;
  return new ManagedProcess(["setsid", "--wait", "bash", "-c", started], {
    cwd: directory,
    env: environment,
  });
}

/** As the terminal does it: the signal goes to everything in the foreground. */
async function pressControlC(server: ManagedProcess): Promise<void> {
  process.kill(-server.pid, "SIGINT");
  const late = setTimeout(() => server.killTree(), CTRL_C_TIMEOUT_MS);
  const { signal } = await server.exited;
  clearTimeout(late);
  expect(signal, "a server that Ctrl-C did not end").not.toBe("SIGKILL");
}

/** Runs a browser's snippet; resolves with the first line that it logs. */
async function firstLog(snippet: string): Promise<string> {
  const logged = Promise.withResolvers<string>();
  // To 127.0.0.1 whatever the name, as browsers do it for *.localhost.
  const dispatcher = new Agent({
    connect: {
      lookup: (_name, _options, done) => done(null, [{ address: "127.0.0.1", family: 4 }]),
    },
  });
  const sockets: WebSocket[] = [];
  class BrowserSocket extends WebSocket {
    constructor(url: string) {
      super(url, { dispatcher });
      sockets.push(this);
      this.addEventListener("close", () => logged.reject(new Error("the socket was closed")));
    }
  }
  const late = setTimeout(
    () => logged.reject(new Error("the snippet logged nothing")),
    SNIPPET_TIMEOUT_MS,
  );
  try {
    runInNewContext(snippet, { WebSocket: BrowserSocket, console: { log: logged.resolve } });
    return await logged.promise;
  } finally {
    clearTimeout(late);
    for (const socket of sockets) socket.close();
    await dispatcher.destroy();
  }
}

function withOwnPort(text: string): string {
  return text.replaceAll(README_PORT, port);
}

/** The commands that listen, with the flag that the README names for a port that is taken. */
function withPortFlag(command: string): string {
  return command
    .replace(/^npm start$/, `npm start -- --port ${port}`)
    .replace(/^npx postern (?:up|gateway)\b.*$/, `$& --port ${port}`);
}

function patternOf(output: string): RegExp {
  return new RegExp(output.split(/ ?… ?/).map(literally).join("[^]*?"));
}

function literally(text: string): string {
  return text.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&");
}

function wholly(output: string): RegExp {
  return new RegExp(`^${patternOf(output).source}$`);
}

/**
 * This process's environment without what npm and vitest put there for their children, without Postern's
 * own variables, and with an npm cache that has what was downloaded before; what npx keeps of this copy
 * goes with it.
 */
function newcomersEnvironment(): NodeJS.ProcessEnv {
  const inherited = Object.entries(process.env).filter(
    ([name]) => !/^(?:npm_|POSTERN_|VITEST|NODE_)/i.test(name),
  );
  const path = (process.env["PATH"] ?? "").split(delimiter);
  const cache = join(temporaryDirectory(), "npm");
  mkdirSync(cache);
  symlinkSync(join(npmCache(), "_cacache"), join(cache, "_cacache"));
  return {
    ...Object.fromEntries(inherited),
    PATH: path.filter((entry) => !entry.includes("node_modules")).join(delimiter),
    npm_config_cache: cache,
    npm_config_prefer_offline: "true",
  };
}

function npmCache(): string {
  return execFileSync("npm", ["config", "get", "cache"], { encoding: "utf8" }).trim();
}

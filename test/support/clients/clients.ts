/**
 * The clients that people really use, each as a program of its own that sends one POST and says what it
 * got: what a library does with redirects, names and bodies is its own affair here, and no imitation.
 */
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import { temporaryDirectory } from "../temporary.ts";
import { ensureVenv } from "../venv.ts";

const execute = promisify(execFile);

const HERE = fileURLToPath(new URL(".", import.meta.url));
const NODE_LIBRARIES = folderOf("clients");
const INSTALL_TIMEOUT_MS = 5 * 60_000;
const ASK_TIMEOUT_MS = 60_000;

/** A client's last answer. */
export interface ClientAnswer {
  readonly status: number;
  readonly text: string;
}

/** What the clients are run with; made once. */
export interface ClientPrograms {
  readonly python: string;
  readonly go: string;
}

/** Installs and builds what the clients need, where that has not been done. */
export async function prepareClients(): Promise<ClientPrograms> {
  const [python] = await Promise.all([ensureVenv(), installNodeLibraries()]);
  const go = join(temporaryDirectory(), "client");
  await execute("go", ["build", "-o", go, join(HERE, "client.go")], {
    timeout: INSTALL_TIMEOUT_MS,
  });
  return { python, go };
}

/** Returns the folder of the libraries. */
export async function installNodeLibraries(): Promise<string> {
  return await install("node-libraries.json", NODE_LIBRARIES);
}

/** The same of those that wait for long. */
export async function installPatientLibraries(): Promise<string> {
  return await install("patient-libraries.json", folderOf("patient-clients"));
}

/** A marker with the list's digest says that a folder is complete. */
async function install(listName: string, folder: string): Promise<string> {
  const list = join(HERE, listName);
  const marker = join(folder, "complete");
  const digest = createHash("sha256").update(readFileSync(list)).digest("hex");
  if (existsSync(marker) && readFileSync(marker, "utf8") === digest) return folder;
  mkdirSync(folder, { recursive: true });
  copyFileSync(list, join(folder, "package.json"));
  await execute("npm", ["install", "--ignore-scripts", "--no-audit", "--no-fund"], {
    cwd: folder,
    timeout: INSTALL_TIMEOUT_MS,
  });
  writeFileSync(marker, digest);
  return folder;
}

function folderOf(name: string): string {
  return fileURLToPath(new URL(`../../../.test/${name}`, import.meta.url));
}

type Command = readonly [program: string, ...args: string[]];

export interface Client {
  readonly name: string;
  /** A command that sends one POST to the URL, follows where it is sent, and prints what it got. */
  readonly command: (programs: ClientPrograms, url: string) => Command;
  /** It names itself as one that follows no redirect by default (routing/held-requests.ts). */
  readonly isHeld?: boolean;
}

/** Every client by the name that people know it by. */
export const CLIENTS: readonly Client[] = [
  { name: "curl -L", command: (_programs, url) => curl(url) },
  { name: "curl -X POST -L", command: (_programs, url) => curl(url, "-X", "POST") },
  { name: "curl -X DELETE -L", command: (_programs, url) => curl(url, "-X", "DELETE") },
  ...["urllib", "requests", "aiohttp"].map((library) => ({
    name: `Python ${library}`,
    command: ({ python }: ClientPrograms, url: string) => inPython(python, library, url),
  })),
  ...[
    { name: "Python httpx", library: "httpx" },
    { name: "Python httpx that follows", library: "httpx-follow" },
  ].map(({ name, library }) => ({
    name,
    command: ({ python }: ClientPrograms, url: string) => inPython(python, library, url),
    isHeld: true,
  })),
  {
    name: "Java's HttpClient",
    command: (_programs, url) => ["java", join(HERE, "Client.java"), url],
    isHeld: true,
  },
  {
    name: "OpenAI SDK for Python",
    command: ({ python }, url) => inPython(python, "openai", url),
  },
  { name: "Go net/http", command: ({ go }, url) => [go, url] },
  { name: "Node fetch", command: (_programs, url) => inNode("fetch", url) },
  { name: "axios", command: (_programs, url) => inNode("axios", url) },
  { name: "OpenAI SDK for Node", command: (_programs, url) => inNode("openai", url) },
];

/** curl knows names under localhost by itself. */
function curl(url: string, ...flags: readonly string[]): Command {
  const format = "\n%{http_code}";
  return ["curl", "-sS", "-L", ...flags, "--data", "question", "-w", format, url];
}

function inPython(python: string, library: string, url: string): Command {
  return [python, join(HERE, "client.py"), library, url];
}

function inNode(library: string, url: string): Command {
  return [process.execPath, join(HERE, "client.mjs"), library, url, NODE_LIBRARIES];
}

/** Runs a client; rejects with what it printed when it fails. */
export async function run([program, ...args]: Command): Promise<ClientAnswer> {
  const { stdout } = await execute(program, args, {
    timeout: ASK_TIMEOUT_MS,
    maxBuffer: 16 * 1024 * 1024,
  });
  if (program !== "curl") return JSON.parse(stdout) as ClientAnswer;
  const end = stdout.lastIndexOf("\n");
  return { status: Number(stdout.slice(end + 1)), text: stdout.slice(0, end) };
}

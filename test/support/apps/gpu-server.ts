/**
 * An inference server with a GPU that is a directory: what it loads is a file there, and when the sum of all files is more
 * than the card has, it fails as CUDA does. So two servers that overlap where they must not are found out.
 *
 *   CARDS      the directory of the cards
 *   NAME       of the model
 *   MEMORY     of the model, in GiB (80); a card has 80
 *   LOAD_MS    time that it takes to load (0)
 *   STAYS      where it is set, the server stays at SIGTERM
 *
 * Paths:
 *
 *   /          its name, process, cards, and how often it has been loaded
 *   /slow?ms=  the same after so many milliseconds
 *   /sleep     gives the memory back
 *   /wake      takes it again
 *   /block?ms= answers nothing at all for so many milliseconds
 *
 * With `?fails` it answers 500 and does nothing; with `?dies` it ends with code 7; with `?drains` it asks to be
 * replaced.
 */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

const CARD_GIB = 80;

const { PORT, CARDS = ".", NAME = "model", MEMORY = "80", LOAD_MS = "0" } = process.env;
const cards = (process.env["CUDA_VISIBLE_DEVICES"] ?? "").split(",").filter((card) => card !== "");

function usedOn(directory: string): number {
  return readdirSync(directory)
    .filter((pid) => isAlive(Number(pid)))
    .reduce((sum, pid) => sum + Number(readFileSync(join(directory, pid), "utf8")), 0);
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** @returns false where the memory does not suffice */
function load(): boolean {
  for (const card of cards) {
    const directory = join(CARDS, card);
    mkdirSync(directory, { recursive: true });
    writeFileSync(join(directory, String(process.pid)), MEMORY);
    if (usedOn(directory) > CARD_GIB) return false;
  }
  return true;
}

function unload(): void {
  for (const card of cards) rmSync(join(CARDS, card, String(process.pid)), { force: true });
}

function loadOrDie(): void {
  if (load()) return;
  unload();
  console.log("torch.OutOfMemoryError: CUDA out of memory.");
  process.exit(1);
}

let loads = 1;
loadOrDie();
console.log(`${NAME} loads on ${cards.join(",")}`);
await delay(Number(LOAD_MS));

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const url = new URL(request.url ?? "/", "http://app");
  if (url.searchParams.has("dies")) process.exit(7);
  if (url.searchParams.has("fails")) {
    response.statusCode = 500;
  } else if (url.pathname === "/sleep") {
    unload();
    console.log(`${NAME} sleeps`);
  } else if (url.pathname === "/wake") {
    loadOrDie();
    loads += 1;
    console.log(`${NAME} wakes`);
  } else if (url.pathname === "/block") {
    Atomics.wait(
      new Int32Array(new SharedArrayBuffer(4)),
      0,
      0,
      Number(url.searchParams.get("ms")),
    );
  } else {
    console.log(`${NAME} begins ${url.pathname}`);
    await delay(Number(url.searchParams.get("ms") ?? "0"));
    console.log(`${NAME} ends ${url.pathname}`);
  }
  if (url.searchParams.has("drains")) response.setHeader("Postern-Container", "drain");
  response.end(JSON.stringify({ name: NAME, pid: process.pid, cards, loads }));
}

const server = createServer((request, response) => void answer(request, response));
server.listen(Number(PORT), "127.0.0.1");
process.on("SIGTERM", () => {
  if (process.env["STAYS"] !== undefined) return;
  unload();
  process.exit(0);
});

/**
 * A server that behaves as badly as it is told, by flags:
 *
 *   --host ADDRESS       where it listens (127.0.0.1); `none` listens nowhere
 *   --port N             instead of the variable PORT
 *   --listen-late        listens only at SIGUSR2, for which it prints "late pid" and its number
 *   --ignore-sigterm     stays at SIGTERM
 *   --child MODE         starts a child that ignores SIGTERM: `group` in its group, `session` in a session of its own,
 *                        `stranger` there, with an empty environment
 *   --daemon             starts itself again in a session of its own, which serves, and ends with code 0
 *   --unhealthy N        answers 503 at /health for the first N times
 *   --exit-at-start N    prints some lines and ends with code N
 *
 * Paths:
 *
 *   /crash         it ends with code 7
 *   /crash-once/…  it ends with code 7, unless there is a file of this path, which it makes
 *   /leave         it stops listening, answers, and ends a moment later
 *   /status/N      it answers with that status
 *   /hang          it does not answer, nor to anything else from then on
 *   /sick          it answers 503 at /health from then on
 *   /drain         it asks to be replaced
 *   /slow, /go     it answers at /slow when somebody asks for /go
 *   /leak          it leaves a `stranger` behind, as --child does
 *   /echo          it prints method, path, content-type and body, and answers 200
 *
 * At any other path it answers with its environment. SIGTERM and SIGINT end it politely, which it says.
 */
import { spawn } from "node:child_process";
import { existsSync, writeFileSync } from "node:fs";
import { createServer, type ServerResponse } from "node:http";
import { parseArgs } from "node:util";

const { values } = parseArgs({
  options: {
    host: { type: "string", default: "127.0.0.1" },
    port: { type: "string", default: process.env["PORT"] ?? "" },
    "listen-late": { type: "boolean", default: false },
    "ignore-sigterm": { type: "boolean", default: false },
    child: { type: "string" },
    daemon: { type: "boolean", default: false },
    unhealthy: { type: "string", default: "0" },
    "exit-at-start": { type: "string" },
  },
});

if (values["exit-at-start"] !== undefined) {
  console.log("loading weights");
  console.error("out of memory");
  process.exit(Number(values["exit-at-start"]));
}

if (values.daemon) {
  const words = process.argv.slice(1).filter((word) => word !== "--daemon");
  const daemon = spawn(process.execPath, words, { stdio: "inherit", detached: true });
  console.log(`daemon pid ${daemon.pid}`);
  process.exit(0);
}

console.log(`server pid ${process.pid}`);

function startChild(mode: string): void {
  const stubborn =
    'process.on("SIGTERM", () => {}); setInterval(() => {}, 1000); console.log(`child pid ${process.pid}`);';
  spawn(process.execPath, ["-e", stubborn], {
    stdio: ["ignore", "inherit", "inherit"],
    detached: mode !== "group",
    ...(mode === "stranger" ? { env: {} } : {}),
  });
}
if (values.child !== undefined) startChild(values.child);

process.on("SIGTERM", () => {
  if (values["ignore-sigterm"]) return;
  console.log("bye");
  process.exit(0);
});
process.on("SIGINT", () => {
  console.log("interrupted");
  process.exit(0);
});

/** From the last connection of a server that stops to the end of its process. */
const LEAVING_MS = 200;

let isHung = false;
let isSick = false;
const slow: ServerResponse[] = [];
let unhealthy = Number(values.unhealthy);
const server = createServer((request, response) => {
  if (request.url === "/crash") process.exit(7);
  const [, mark] = /^\/crash-once(\/.+)$/.exec(request.url ?? "") ?? [];
  if (mark !== undefined && !existsSync(mark)) {
    writeFileSync(mark, "");
    process.exit(7);
  }
  isHung ||= request.url === "/hang";
  if (isHung) return;
  const [, status] = /^\/status\/(\d+)$/.exec(request.url ?? "") ?? [];
  if (status !== undefined) {
    response.writeHead(Number(status)).end();
    return;
  }
  if (request.url?.startsWith("/echo") === true) {
    let body = "";
    request.on("data", (chunk) => (body += chunk));
    request.on("end", () => {
      const { method, url, headers } = request;
      console.log(`got ${method} ${url} ${headers["content-type"] ?? "-"} ${body}`);
      response.end();
    });
    return;
  }
  if (request.url === "/slow") {
    slow.push(response);
    return;
  }
  if (request.url === "/go") for (const waiting of slow.splice(0)) waiting.end();
  if (request.url === "/drain") response.setHeader("Postern-Container", "drain");
  if (request.url === "/leak") startChild("stranger");
  isSick ||= request.url === "/sick";
  if (request.url === "/leave") {
    server.close();
    response.once("close", () => setTimeout(() => process.exit(0), LEAVING_MS));
    response.setHeader("connection", "close");
  }
  const well = request.url !== "/health" || (unhealthy-- <= 0 && !isSick);
  response.writeHead(well ? 200 : 503).end(JSON.stringify(process.env));
});
const listen = (): unknown => server.listen(Number(values.port), values.host);
if (values.host === "none") setInterval(() => undefined, 1000);
else if (values["listen-late"]) {
  // The signal alone keeps no process.
  setInterval(() => undefined, 1000);
  process.on("SIGUSR2", listen);
  console.log(`late pid ${process.pid}`);
} else listen();

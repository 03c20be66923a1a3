/**
 * `postern gateway --tls` and the Caddy below it, as processes: how it starts, what it says when it can't, and how both
 * end. The Caddy is a stand-in; test/e2e/tls.test.ts has the real one.
 */
import { chmodSync, existsSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { basename, delimiter, join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import {
  commandLine,
  isAlive,
  ManagedProcess,
  processTree,
  untilGone,
} from "../../support/processes.ts";
import { freePort, temporaryDirectory } from "../../support/temporary.ts";
import { COMMAND, startPostern } from "../postern.ts";

/** A folder with a `caddy` of this text, run by this Node. */
function pathWith(caddy: string): string {
  const directory = temporaryDirectory();
  const file = join(directory, "caddy");
  writeFileSync(file, `#!${process.execPath}\n${caddy}`);
  chmodSync(file, 0o755);
  return directory;
}

/** A folder with the interpreter alone that the gateway sets a limit of its sockets with, and no `caddy`. */
function interpreterPath(): string {
  const program = ["/usr/bin/python3", "/usr/bin/perl"].find((path) => existsSync(path));
  const directory = temporaryDirectory();
  if (program !== undefined) symlinkSync(program, join(directory, basename(program)));
  return directory;
}

/** Does what Caddy does at a start, and ends at SIGTERM. */
const STAND_IN = `
const { connect } = require("node:net");
const at = process.argv.indexOf("--pingback");
if (process.argv[2] === "version") {
  console.log("VERSION");
  process.exit(0);
}
process.on("SIGTERM", () => process.exit(0));
process.stdin.resume();
setInterval(() => {}, 1_000);
if (at !== -1) {
  const [host, port] = process.argv[at + 1].split(":");
  process.stdin.pipe(connect(Number(port), host));
}
`;

interface Started {
  readonly gateway: ManagedProcess;
  readonly state: string;
  readonly httpsPort: number;
}

async function startTlsGateway(caddy: string, flags: readonly string[] = []): Promise<Started> {
  const state = join(temporaryDirectory(), "state");
  const httpsPort = await freePort();
  const own = ["gateway", "--port", "0", "--state", state, "--tls", "--base-domain", "gw.test"];
  const ports = ["--https-port", String(httpsPort), "--http-port", String(await freePort())];
  const gateway = startPostern(
    [...own, "--host", "127.0.0.1", ...ports, ...flags],
    // The shell that ends Caddy with the gateway is elsewhere.
    { env: { PATH: [caddy, interpreterPath()].join(delimiter) } },
  );
  return { gateway, state, httpsPort };
}

function caddyBelow(pid: number): number | undefined {
  return processTree(pid).find((one) => commandLine(one).includes("/caddy run "));
}

test("without a caddy one line says what to install, and nothing starts", async () => {
  const { gateway } = await startTlsGateway(temporaryDirectory());
  expect((await gateway.exited).code).toBe(1);
  expect(gateway.stderr).toBe(
    "postern: --tls needs caddy, and PATH has none; install it (apt-get install caddy, or caddyserver.com)\n",
  );
});

test("its URL is https, and Caddy gets a configuration that its owner alone can read", async () => {
  const { gateway, state } = await startTlsGateway(pathWith(STAND_IN));
  await gateway.waitForOutput(/^https:\/\/gw\.test$/m);
  const text = readFileSync(join(state, "run", "Caddyfile"), "utf8");
  expect(text).toMatch(/ask http:\/\/127\.0\.0\.1:\d+\/$/m);
  // With -1 Caddy goes on with a request whose client has left.
  expect(text).toMatch(/flush_interval 1ms$/m);
});

test.each([
  ["is told of, since it hides broken responses", "2.6.2", 1],
  ["is told of, since it hides broken responses", "v2.7.5 h1:sum=", 1],
  ["is new enough", "v2.7.6 h1:sum=", 0],
  ["is new enough", "v2.10.0 h1:sum=", 0],
  ["is new enough", "v3.0.0", 0],
  ["has no number", "(devel)", 0],
])("a Caddy that %s: %s", async (_what, version, times) => {
  const { gateway } = await startTlsGateway(pathWith(STAND_IN.replace("VERSION", version)));
  await gateway.waitForOutput(/^https:/m);
  await expect.poll(() => gateway.stderr.split("take 2.7.6 or newer").length - 1).toBe(times);
});

test("a Caddy that dies is started again, and ends with the gateway", async () => {
  const { gateway } = await startTlsGateway(pathWith(STAND_IN));
  await gateway.waitForOutput(/^https:/m);
  const first = caddyBelow(gateway.pid) as number;
  process.kill(first, "SIGKILL");
  await gateway.waitForErrorOutput(/caddy ended \(SIGKILL\); starting it again/);
  await expect.poll(() => caddyBelow(gateway.pid), { timeout: 15_000 }).toBeDefined();
  const second = caddyBelow(gateway.pid) as number;
  expect(second).not.toBe(first);
  expect(await gateway.stop("SIGTERM")).toEqual({ code: 0, signal: null });
  expect(isAlive(second)).toBe(false);
});

test("a gateway that is killed takes its Caddy with it", async () => {
  const { gateway } = await startTlsGateway(pathWith(STAND_IN));
  await gateway.waitForOutput(/^https:/m);
  const tree = processTree(gateway.pid);
  await gateway.kill();
  for (const pid of tree) await untilGone(pid);
});

test("a port that is taken is named with its flag", async () => {
  const port = await freePort();
  const holder = createServer().listen(port, "127.0.0.1");
  onTestFinished(() => void holder.close());
  const { gateway } = await startTlsGateway(pathWith("process.exit(1)"), [
    "--http-port",
    `${port}`,
  ]);
  expect((await gateway.exited).code).toBe(1);
  expect(gateway.stderr).toBe(
    `postern: port ${port} is already taken; choose another with --http-port\n`,
  );
});

// Containers often let everybody take each port.
test.skipIf(unprivilegedFrom() <= 443)(
  "a port that needs privileges is named with the two ways to get one",
  async () => {
    const state = join(temporaryDirectory(), "state");
    const isRoot = process.getuid?.() === 0;
    const lacking = isRoot
      ? ["setpriv", "--bounding-set=-net_bind_service", "--inh-caps=-net_bind_service"]
      : [];
    const args = ["gateway", "--port", "0", "--state", state, "--tls", "--base-domain", "gw.test"];
    const [file = "", ...rest] = [...lacking, process.execPath, COMMAND, ...args];
    const gateway = new ManagedProcess(
      [file, ...rest, "--host", "127.0.0.1", "--http-port", String(await freePort())],
      { env: { ...process.env, PATH: `${pathWith("process.exit(1)")}:${process.env["PATH"]}` } },
    );
    onTestFinished(() => gateway.killTree());
    expect((await gateway.exited).code).toBe(1);
    expect(gateway.stderr).toBe(
      "postern: port 443 needs privileges: allow caddy to take it (setcap cap_net_bind_service=+ep " +
        '"$(command -v caddy)"), or choose one above 1023 with --https-port\n',
    );
  },
);

test("a Caddy that does not start is quoted", async () => {
  const { gateway } = await startTlsGateway(
    pathWith(`console.error("Error: unrecognized directive: tls"); process.exit(1)`),
  );
  expect((await gateway.exited).code).toBe(1);
  expect(gateway.stderr).toContain(
    "postern: caddy ended (exit code 1)\n  Error: unrecognized directive: tls\n",
  );
});

test("a root certificate that is not there is named", async () => {
  const { gateway } = await startTlsGateway(pathWith(STAND_IN), ["--acme-ca-root", "/nowhere.pem"]);
  expect((await gateway.exited).code).toBe(1);
  expect(gateway.stderr).toContain(
    "--acme-ca-root: can't copy /nowhere.pem: no such file or directory",
  );
});

/** The lowest port that a process without privileges may take. */
function unprivilegedFrom(): number {
  return Number(readFileSync("/proc/sys/net/ipv4/ip_unprivileged_port_start", "utf8"));
}

#!/usr/bin/env node
/**
 * The `postern` command's first step, in plain JavaScript so that an old Node can run it: makes sure
 * that a Node that runs TypeScript is underneath, and hands over to main.ts. Where the machine's own
 * Node is too old, the `node` package among the dependencies supplies one, and this process only stands
 * before it: it passes signals on, leaves with its exit code, and neither outlives the other. As process 1 of a
 * container it puts a shell in its place, which waits for orphans.
 */
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const OLDEST_NODE = [22, 19];

/** Both reach this process from outside; the terminal's own copies are told apart in cli/stop-signals.ts. */
const PASSED_SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR2"];

const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
const isRecent = major > OLDEST_NODE[0] || (major === OLDEST_NODE[0] && minor >= OLDEST_NODE[1]);

if (process.pid === 1 && process.execve !== undefined) runAsSecondProcess();
if (isRecent) await runHere();
else runWithPinnedNode();

/** Returns where there is no shell. */
function runAsSecondProcess() {
  const script = fileURLToPath(new URL("first-process.sh", import.meta.url));
  const self = [process.execPath, ...process.execArgv, ...process.argv.slice(1)];
  // Node warns that this is experimental.
  process.removeAllListeners("warning");
  if (existsSync("/bin/sh")) process.execve("/bin/sh", ["sh", script, ...self], process.env);
}

async function runHere() {
  // Node 22 warns at every start that it strips types; nobody who runs this command can do anything about it.
  process.removeAllListeners("warning");
  process.on("warning", (warning) => {
    if (warning.name !== "ExperimentalWarning") process.stderr.write(`${warning.message}\n`);
  });
  try {
    await import("./installed.js");
    await import("./main.ts");
  } catch (error) {
    if (error?.code !== "ERR_MODULE_NOT_FOUND") throw error;
    process.stderr.write(
      `postern: ${error.message.split(" imported from ")[0]}; run npm install\n`,
    );
    process.exit(1);
  }
}

function runWithPinnedNode() {
  const pinned = pinnedNode();
  if (pinned === undefined) {
    process.stderr.write(
      `postern: needs Node ${OLDEST_NODE.join(".")} or newer and this is ${process.version}; ` +
        "the dependency that supplies one is missing: run npm install\n",
    );
    process.exit(1);
  }
  // The channel is how the child learns of this process's end, even by SIGKILL: it disconnects.
  const child = spawn(pinned, [fileURLToPath(import.meta.url), ...process.argv.slice(2)], {
    stdio: ["inherit", "inherit", "inherit", "ipc"],
  });
  for (const signal of PASSED_SIGNALS) process.on(signal, () => child.kill(signal));
  child.on("error", (error) => {
    process.stderr.write(`postern: can't start ${pinned}: ${error.message}\n`);
    process.exit(1);
  });
  child.on("exit", (code, signal) => {
    if (signal === null) process.exit(code ?? 1);
    for (const passed of PASSED_SIGNALS) process.removeAllListeners(passed);
    process.kill(process.pid, signal);
  });
}

/** The `node` package's executable, wherever this package's dependencies were installed. */
function pinnedNode() {
  try {
    const manifest = createRequire(import.meta.url).resolve("node/package.json");
    const executable = join(
      dirname(manifest),
      "bin",
      process.platform === "win32" ? "node.exe" : "node",
    );
    return existsSync(executable) ? executable : undefined;
  } catch {
    return undefined;
  }
}

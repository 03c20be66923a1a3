/**
 * Builds the Worker as `wrangler deploy` would, without deploying, prints its gzipped size and exits with
 * 1 when it is over the limit. Cloudflare reads the whole script before an isolate's first request.
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

const LIMIT_BYTES = 200_000;
const BUILD_TIMEOUT_MS = 120_000;

const root = fileURLToPath(new URL("..", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "postern-bundle-"));
try {
  const wrangler = join(root, "node_modules/wrangler/bin/wrangler.js");
  execFileSync(process.execPath, [wrangler, "deploy", "--dry-run", "--outdir", folder], {
    cwd: root,
    env: { ...process.env, WRANGLER_SEND_METRICS: "false", CI: "1" },
    stdio: ["ignore", "ignore", "inherit"],
    timeout: BUILD_TIMEOUT_MS,
  });
  const scripts = readdirSync(folder).filter((name) => name.endsWith(".js"));
  if (scripts.length === 0) throw new Error("wrangler built no script");
  const bytes = scripts
    .map((name) => gzipSync(readFileSync(join(folder, name))).length)
    .reduce((sum, size) => sum + size, 0);
  console.log(`bundle: ${kilobytes(bytes)} gzipped, of ${kilobytes(LIMIT_BYTES)}`);
  if (bytes > LIMIT_BYTES) process.exitCode = 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
}

function kilobytes(bytes: number): string {
  return `${(bytes / 1000).toFixed(1)} kB`;
}

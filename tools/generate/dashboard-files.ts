/** gateway/worker/api/dashboard-files.ts: the dashboard's program and style as text, with the hashes that its policy names. */
import { createHash } from "node:crypto";
import { fileURLToPath } from "node:url";
import { buildSync } from "esbuild";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

/** Renders the file anew. */
export function dashboardFiles(): string {
  const script = bundled("gateway/dashboard/main.ts");
  const style = bundled("gateway/dashboard/dashboard.css");
  return `/** Made from gateway/dashboard/ by \`npm run generate\`. */
export const SCRIPT = ${JSON.stringify(script)};
export const SCRIPT_HASH = "${hashOf(script)}";
export const STYLE = ${JSON.stringify(style)};
export const STYLE_HASH = "${hashOf(style)}";
`;
}

function bundled(entry: string): string {
  const { outputFiles } = buildSync({
    absWorkingDir: ROOT,
    entryPoints: [entry],
    bundle: true,
    write: false,
    minify: true,
    format: "iife",
    target: "es2022",
    legalComments: "none",
  });
  const [file] = outputFiles;
  if (file === undefined) throw new Error(`esbuild made nothing of ${entry}`);
  return file.text.trim();
}

/** A source of a content security policy (CSP3, "hash-source"). */
function hashOf(text: string): string {
  return `sha256-${createHash("sha256").update(text).digest("base64")}`;
}

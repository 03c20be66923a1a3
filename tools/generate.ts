/**
 * Writes the parts of docs/ that are made from tables of the code, and the dashboard as text for the Worker. With
 * `--check` it writes nothing, names the files that are stale and exits with 1.
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { appsPage } from "./generate/apps-page.ts";
import { callsPage } from "./generate/calls-page.ts";
import { configurationPage } from "./generate/configuration-page.ts";
import { configurationSchema } from "./generate/configuration-schema.ts";
import { dashboardFiles } from "./generate/dashboard-files.ts";
import { errorsPage } from "./generate/errors-page.ts";

/** A file of the repository, and what makes its text anew from the present one. */
type GeneratedFile = readonly [path: string, render: (present: string) => string];

const FILES: readonly GeneratedFile[] = [
  ["docs/errors.md", errorsPage],
  ["docs/calls.md", callsPage],
  ["docs/apps.md", appsPage],
  ["docs/configuration.md", configurationPage],
  ["docs/postern.schema.json", configurationSchema],
  ["gateway/worker/api/dashboard-files.ts", dashboardFiles],
];

const check = process.argv.includes("--check");
for (const [path, render] of FILES) {
  const file = fileURLToPath(new URL(`../${path}`, import.meta.url));
  const present = existsSync(file) ? readFileSync(file, "utf8") : "";
  const text = render(present);
  if (text === present) continue;
  if (check) {
    console.error(`${path} is stale: run npm run generate`);
    process.exitCode = 1;
  } else {
    writeFileSync(file, text);
    console.log(`wrote ${path}`);
  }
}

/** docs/apps.md: its table of presets, from the table that sets them. */
import { type Preset, PRESETS } from "../../origin-gpu/config/presets.ts";
import { replacePart, table } from "./markdown.ts";

const HEAD = [
  "`app_kind`",
  "`health_path`",
  "`host_header`",
  "`affinity`",
  "`max_inputs`",
  "`api`",
  "denied `paths`",
];

/** Renders the page anew. @param present its text, whose prose stays */
export function appsPage(present: string): string {
  const rows = Object.entries<Preset>(PRESETS).map(([kind, preset]) => [
    `\`"${kind}"\``,
    code(preset.health_path),
    code(preset.host_header),
    code(preset.affinity),
    code(preset.max_inputs),
    code(preset.api),
    (preset.paths?.deny ?? []).map((path) => `\`${path}\``).join(", "),
  ]);
  return replacePart(present, "presets", table(HEAD, rows));
}

function code(value: string | number | undefined): string {
  return value === undefined ? "" : `\`${JSON.stringify(value)}\``;
}

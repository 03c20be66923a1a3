/** `postern app scale`: how many containers a function has, without a deployment. */
import { SCALE_FUNCTION } from "../../api/versions.ts";
import { type Scaling, SCALING_VALUES } from "../../routing/wire/scaling.ts";
import { ACCESS_NOTE, STATE_OPTION } from "../access.ts";
import { APP_NOTE, placeOfApp } from "../app-place.ts";
import type { Options } from "../arguments.ts";
import type { Command } from "../command.ts";
import { UsageError } from "../failure.ts";
import { printJson, printNotice, printResult } from "../output.ts";

/** The setting that each option changes. */
const SETTINGS = {
  min: "min_containers",
  max: "max_containers",
  buffer: "buffer_containers",
  scaledown: "scaledown_window",
} as const satisfies Record<string, keyof Scaling>;

const NAMES = Object.keys(SETTINGS) as (keyof typeof SETTINGS)[];

const OPTIONS = {
  min: { type: "string", value: "N", summary: "containers that run even when there are no calls" },
  max: { type: "string", value: "N", summary: "containers that run at most" },
  buffer: { type: "string", value: "N", summary: "containers beside those that the calls need" },
  scaledown: {
    type: "string",
    value: "SECONDS",
    summary: "time without a call after which a container ends",
  },
  ...STATE_OPTION,
} as const satisfies Options;

export const APP_SCALE: Command<typeof OPTIONS> = {
  description: {
    name: "app scale",
    summary: "Changes how many containers a function has, at once and until the next deployment.",
    positionals: ["APP", "FUNCTION"],
    options: OPTIONS,
    notes: [
      "Each option is a setting of postern.toml; those that are left out stay as they are.",
      APP_NOTE,
      ACCESS_NOTE,
    ],
  },
  async run({ values, positionals: [app = "", name = ""] }) {
    const change = changeOf(values);
    const { client, environment } = await placeOfApp(values, app);
    const scaled = await client.call(SCALE_FUNCTION, {
      path: { app, function: name },
      query: { environment },
      body: change,
    });
    if (values.json === true) {
      printJson(scaled);
      return 0;
    }
    for (const [key, value] of Object.entries(scaled.settings)) printResult(`${key} = ${value}`);
    printNotice(`${name} of ${app} v${scaled.version} has these until the next deployment`);
    return 0;
  },
};

/** `min 2, max 4`, in the words of the options. */
export function shownScaling(scaling: Scaling): string {
  return NAMES.flatMap((name) => {
    const value = scaling[SETTINGS[name]];
    return value === undefined ? [] : [`${name} ${value}`];
  }).join(", ");
}

function changeOf(values: { readonly [Name in keyof typeof SETTINGS]?: string }): Scaling {
  const problems: string[] = [];
  const change: { -readonly [Name in keyof Scaling]: Scaling[Name] } = {};
  for (const name of NAMES) {
    const text = values[name];
    if (text === undefined) continue;
    const value = SCALING_VALUES[SETTINGS[name]].safeParse(
      /^[\d.]+$/.test(text) ? Number(text) : text,
    );
    if (value.success) change[SETTINGS[name]] = value.data;
    else problems.push(`--${name} ${text}: ${value.error.issues[0]?.message}`);
  }
  if (problems.length > 0) throw new UsageError(problems.join("; "));
  if (Object.keys(change).length > 0) return change;
  throw new UsageError(`app scale: to what? say ${NAMES.map((name) => `--${name}`).join(", ")}`);
}

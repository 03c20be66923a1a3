/** docs/configuration.md: its tables of keys, from the table that checks a postern.toml. */
import { APP_KEYS } from "../../origin-gpu/config/keys/app.ts";
import { GPU_KEYS } from "../../origin-gpu/config/keys/gpus.ts";
import type { Key } from "../../origin-gpu/config/keys/key.ts";
import { KIND_KEYS_TABLE } from "../../origin-gpu/config/keys/kinds.ts";
import { ENDPOINT_NAME_KEYS } from "../../origin-gpu/config/keys/naming.ts";
import { PLACEMENT_KEYS } from "../../origin-gpu/config/keys/placement.ts";
import { PROCESS_KEYS } from "../../origin-gpu/config/keys/process.ts";
import { REQUEST_KEYS } from "../../origin-gpu/config/keys/requests.ts";
import { SCALING_KEYS } from "../../origin-gpu/config/keys/scaling.ts";
import { valueWords } from "./key-values.ts";
import { replacePart, table } from "./markdown.ts";

type Keys = Readonly<Record<string, Key>>;

/** The page's parts with a default for each key. */
const PARTS: Readonly<Record<string, Keys>> = {
  app: APP_KEYS,
  endpoint: ENDPOINT_NAME_KEYS,
  placement: PLACEMENT_KEYS,
  process: PROCESS_KEYS,
  scaling: SCALING_KEYS,
  gpus: GPU_KEYS,
  requests: REQUEST_KEYS,
};

/** Renders the page anew. @param present its text, whose prose stays */
export function configurationPage(present: string): string {
  let page = present;
  for (const [name, keys] of Object.entries(PARTS)) {
    const rows = Object.entries(keys).map(([name, key]) => [
      `\`${name}\``,
      key.text.default ?? "",
      valueWords(key),
      key.text.meaning,
    ]);
    page = replacePart(page, name, table(["key", "default", "value", "meaning"], rows));
  }
  const kinds = Object.entries<Key>(KIND_KEYS_TABLE).map(([name, key]) => [
    `\`${name}\``,
    valueWords(key),
    key.text.meaning,
  ]);
  return replacePart(page, "kinds", table(["key", "value", "meaning"], kinds));
}

/** Every setting of an app as it holds, and where it comes from: the file, its preset, or the key's default. */
import { ownerOf, presetOf } from "./apply-preset.ts";
import { OF_KINDS, POOL_KEYS } from "./combinations.ts";
import { APP_KEYS, ENDPOINT_KEYS, type EndpointTable, KIND_KEYS, type KeyTable } from "./keys.ts";
import { defaultValueOf } from "./keys/default-value.ts";

/** `containers_of`: the endpoint whose containers it shares has it. */
export type SettingSource = "file" | "preset" | "default" | "containers_of";

export interface ExplainedSetting {
  /** As the file would spell it; null where there is none. */
  readonly value: unknown;
  readonly from: SettingSource;
  /** Words in the place of a value that is found elsewhere or later. */
  readonly note?: string;
}

type Settings = Readonly<Record<string, ExplainedSetting>>;

export interface ExplainedApp {
  readonly app: Settings;
  readonly endpoints: readonly { readonly function: string; readonly settings: Settings }[];
}

type Given = Readonly<Record<string, unknown>>;

const OF_POOLS: ReadonlySet<string> = new Set(POOL_KEYS);
const KINDS: ReadonlySet<string> = new Set(KIND_KEYS);

/** @param document a file that was accepted */
export function explainApp(document: Given): ExplainedApp {
  const { endpoint, ...app } = document;
  const tables = endpoint as readonly (EndpointTable & Given)[];
  return {
    app: settingsOf(APP_KEYS, app, {}, () => true),
    endpoints: tables.map((table) => ({
      function: table.function ?? "",
      settings: explainEndpoint(table, ownerOf(table, tables)),
    })),
  };
}

function explainEndpoint(table: EndpointTable & Given, owner: EndpointTable & Given): Settings {
  const hasNoMeaning = new Set<string>(
    OF_KINDS.filter(({ wrong }) => wrong(table, table)).map(({ key }) => key),
  );
  const preset = presetOf(table, owner) as Given;
  const given = { ...table, ...impliedBy(table) };
  const own = settingsOf(ENDPOINT_KEYS, given, preset, (name) => {
    return name in table || (!KINDS.has(name) && !hasNoMeaning.has(name));
  });
  if (owner === table) return own;
  const shared = Object.entries(explainEndpoint(owner, owner)).filter(([name]) => {
    return OF_POOLS.has(name);
  });
  const inherited = shared.map(([name, setting]) => [name, { ...setting, from: "containers_of" }]);
  return { ...own, ...(Object.fromEntries(inherited) as Settings) };
}

/** A lock of another key locks the endpoint, whatever `requires_proxy_auth` says (resolve.ts). */
function impliedBy({ auth, requires_app_token: isAppsAlone }: EndpointTable): Given {
  return auth !== undefined || isAppsAlone === true ? { requires_proxy_auth: true } : {};
}

function settingsOf(
  keys: KeyTable,
  given: Given,
  preset: Given,
  isShown: (name: string) => boolean,
): Settings {
  const settings: Record<string, ExplainedSetting> = {};
  const settingOf = (name: string): ExplainedSetting => {
    if (name in given) return { value: given[name], from: "file" };
    if (name in preset) return { value: preset[name], from: "preset" };
    const key = keys[name];
    const value = key && defaultValueOf(key);
    if (value !== undefined) return { value, from: "default" };
    const words = key?.text.default?.replaceAll("`", "") ?? "none";
    // The default of some keys is the value of another one.
    if (words in keys) return { ...settingOf(words), from: "default" };
    return { value: null, from: "default", ...(words !== "none" && { note: words }) };
  };
  for (const name of Object.keys(keys)) {
    if (isShown(name)) settings[name] = settingOf(name);
  }
  return settings;
}

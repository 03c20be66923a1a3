/** Puts the settings of an endpoint's `app_kind` where its table in the file has none. */
import { POOL_KEYS } from "./combinations.ts";
import type { EndpointTable } from "./keys.ts";
import { type Preset, PRESETS } from "./presets.ts";

const OF_POOLS: ReadonlySet<string> = new Set(POOL_KEYS);

/**
 * The keys that the preset sets for this endpoint. A second name on the containers of another endpoint has that one's
 * app: its own keys, such as `paths`, come from there.
 * @param owner whose containers serve the endpoint: itself, or another one
 */
export function presetOf(table: EndpointTable, owner: EndpointTable): Partial<Preset> {
  if (owner.app_kind === undefined) return {};
  const preset: Preset = PRESETS[owner.app_kind];
  const isGuest = owner !== table;
  const entries = Object.entries(preset).filter(
    ([key]) => !(key in table) && !(isGuest && OF_POOLS.has(key)),
  );
  return Object.fromEntries(entries) as Partial<Preset>;
}

export function withPreset(table: EndpointTable, owner: EndpointTable): EndpointTable {
  if (owner.app_kind === undefined) return table;
  return { ...table, ...(presetOf(table, owner) as EndpointTable) };
}

/** The endpoint whose containers serve this one: itself, or what `containers_of` names. */
export function ownerOf(table: EndpointTable, tables: readonly EndpointTable[]): EndpointTable {
  const { containers_of: owner } = table;
  if (owner === undefined) return table;
  return tables.find((other) => other.function === owner) ?? table;
}

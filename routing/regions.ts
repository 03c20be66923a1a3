/**
 * How far a box's region is from where a request entered the gateway. Regions are free text, as clouds spell them
 * (`eu-west-1`, `us-east`). Pure.
 */
import { isWithin } from "./placement.ts";

/** Where a request entered: sets of region names, the narrowest first. Names of one set are as near as each other. */
export type EntryRegions = readonly (readonly string[])[];

/** Where Cloudflare says that a request entered (`request.cf`). */
export interface CloudflarePlace {
  /** Two letters. */
  readonly continent?: string | undefined;
  /** Two letters (ISO 3166-1). */
  readonly country?: string | undefined;
  /** Degrees, as text. */
  readonly longitude?: string | undefined;
}

/** Names of regions on each continent, as clouds spell them. */
const CONTINENTS: Readonly<Record<string, readonly string[]>> = {
  AF: ["af", "africa"],
  AS: ["ap", "asia", "me"],
  EU: ["eu", "europe"],
  NA: ["us", "na", "northamerica", "ca"],
  OC: ["ap", "au", "oc", "australia"],
  SA: ["sa", "southamerica"],
};

/** Between Denver and Kansas City: clouds name their regions by the coasts. */
const MIDDLE_OF_NORTH_AMERICA_DEGREES = -100;

/** The entry of a gateway in this region: within it first, then within each broader one (`eu-west-1`, `eu-west`, `eu`). */
export function entryOfRegion(region: string): EntryRegions {
  const entry: string[][] = [];
  for (let name = region; name !== ""; name = broader(name)) entry.push([name]);
  return entry;
}

/** The entry of a request that Cloudflare took; empty where it does not say. */
export function entryOfCloudflare({
  continent,
  country,
  longitude,
}: CloudflarePlace): EntryRegions {
  const entry: (readonly string[])[] = [];
  if (continent === "NA" && longitude !== undefined) {
    entry.push([Number(longitude) < MIDDLE_OF_NORTH_AMERICA_DEGREES ? "us-west" : "us-east"]);
  }
  if (country !== undefined) entry.push([country]);
  const names = continent === undefined ? undefined : CONTINENTS[continent];
  if (names !== undefined) entry.push(names);
  return entry;
}

/** 0 is nearest; boxes that are in none of the entry's regions, or have none, are equally far. */
export function distanceOf(entry: EntryRegions, region: string): number {
  const at = entry.findIndex((names) => names.some((name) => isWithin(name, region)));
  return at === -1 ? entry.length : at;
}

/** `eu-west-1` is in `eu-west`; the empty text for a region that is in none. */
function broader(region: string): string {
  const end = Math.max(region.lastIndexOf("-"), region.lastIndexOf("."), region.lastIndexOf("_"));
  return end === -1 ? "" : region.slice(0, end);
}

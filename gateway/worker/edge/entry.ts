/** Where a request entered: the gateway's own region where it has one, else the place that Cloudflare names. */
import {
  type CloudflarePlace,
  type EntryRegions,
  entryOfCloudflare,
  entryOfRegion,
} from "../../../routing/regions.ts";
import type { Env } from "../../contracts/env.ts";
import type { BoxPlace } from "../../contracts/names.ts";

/** Undefined where there is nothing to choose by it. */
export function entryOf(
  env: Env,
  request: Request,
  boxes: readonly BoxPlace[],
): EntryRegions | undefined {
  const hasRegions = boxes.length > 1 && boxes.some(({ region }) => region !== undefined);
  if (!hasRegions) return undefined;
  if (env.POSTERN_REGION) return entryOfRegion(env.POSTERN_REGION);
  return entryOfCloudflare((request.cf ?? {}) as CloudflarePlace);
}

/** The boxes of a deployed endpoint that the edge may send requests to, and how each is reached. */
import type { BoxPlace } from "../../contracts/names.ts";
import type { Control } from "./control.ts";
import type { PlacedEndpoint, Version } from "./versions.ts";

/**
 * The boxes of each endpoint of a version that serves, or is about to. A box that was revoked is not among them, nor one
 * that would answer as another version: it was away when this one took over, and has not caught up.
 */
export function placesOf(
  { boxes: known, versionBoxes }: Control,
  version: Version,
): [PlacedEndpoint, BoxPlace[]][] {
  const behind = versionBoxes.behind(version);
  const placeOf = (box: string): BoxPlace[] => {
    const found = known.find(box);
    if (found === undefined || behind.includes(box)) return [];
    const { links, region } = found;
    return [{ box, links, ...(region !== "" && { region }) }];
  };
  return version.endpoints.map((endpoint) => [endpoint, endpoint.boxes.flatMap(placeOf)]);
}

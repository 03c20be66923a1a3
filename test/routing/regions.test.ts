import { expect, test } from "vitest";
import { distanceOf, entryOfCloudflare, entryOfRegion } from "../../routing/regions.ts";

const REGIONS = ["eu-west-1", "eu-west-2", "eu-central", "us-east", ""];

test("from a region, boxes within it are nearest, then those within each broader one, then all others", () => {
  const entry = entryOfRegion("eu-west-1");
  expect(REGIONS.map((region) => distanceOf(entry, region))).toEqual([0, 1, 2, 3, 3]);
});

test("from Cloudflare's place, the coast, the country and the continent say what is near", () => {
  const from = (place: Parameters<typeof entryOfCloudflare>[0]) =>
    ["us-west-2", "us-east-1", "eu-west-1", "ap-south", ""].map((region) =>
      distanceOf(entryOfCloudflare(place), region),
    );
  const seattle = { continent: "NA", country: "US", longitude: "-122.3" };
  expect(from(seattle)).toEqual([0, 1, 3, 3, 3]);
  expect(from({ ...seattle, longitude: "-73.9" })).toEqual([1, 0, 3, 3, 3]);
  expect(from({ continent: "EU", country: "DE", longitude: "13.4" })).toEqual([2, 2, 1, 2, 2]);
  expect(from({ continent: "AS", country: "IN" })).toEqual([2, 2, 2, 1, 2]);
});

test("a country is nearer than its continent", () => {
  const entry = entryOfCloudflare({ continent: "EU", country: "DE" });
  expect(["de-fra", "eu-west"].map((region) => distanceOf(entry, region))).toEqual([0, 1]);
});

test("where nobody says anything, all boxes are equally far", () => {
  expect(distanceOf(entryOfCloudflare({}), "eu")).toBe(distanceOf([], ""));
  expect(entryOfRegion("")).toEqual([]);
});

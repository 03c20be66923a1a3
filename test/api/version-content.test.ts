import { expect, test } from "vitest";
import { VERSION_CONTENT } from "../../api/version-content.ts";

const SETTINGS = { timeout: 300, resultTtl: 0, cors: { origins: ["https://a.example"] } };

function accepts(settings: object): boolean {
  const endpoint = { function: "f", pool: "f", secrets: [], settings };
  return VERSION_CONTENT.safeParse({ config: {}, code: null, endpoints: [endpoint] }).success;
}

test("settings are those that an agent may announce", () => {
  expect(accepts(SETTINGS)).toBe(true);
  expect(accepts({ ...SETTINGS, timeout: 86_401 })).toBe(false);
  expect(accepts({ ...SETTINGS, cors: { origins: [""] } })).toBe(false);
});

test("a setting that nobody knows is refused, not ignored", () => {
  expect(accepts({ ...SETTINGS, colour: "blue" })).toBe(false);
  expect(accepts({ ...SETTINGS, cors: { colours: ["blue"] } })).toBe(false);
});

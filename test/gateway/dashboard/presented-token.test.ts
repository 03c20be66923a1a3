import { expect, test } from "vitest";
import { presentedToken } from "../../../gateway/dashboard/presented-token.ts";

const ID = `ak-my.team-as-${"a".repeat(26)}`;
const SECRET = `as-${"b".repeat(32)}`;

test.each([
  ["one value", `${ID}.${SECRET}`],
  ["two lines", `${ID}\r\n${SECRET}\n`],
  ["two lines that a field joined", `${ID}${SECRET}`],
  ["blanks around and between", ` ${ID} ${SECRET}\u200B\u00A0`],
])("a token is read from %s", (_, text) => {
  expect(presentedToken(text)).toBe(`${ID}.${SECRET}`);
});

test("other text is left to the gateway to judge, as far as a header can hold it", () => {
  expect(presentedToken("wk-ünknown\u0000")).toBe("wk-nknown");
  expect(presentedToken(" \n")).toBe("");
});

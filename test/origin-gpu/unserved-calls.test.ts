/** Calls that a box refuses before it begins them. */
import { expect, test } from "vitest";
import type { ServedFunction } from "../../origin-gpu/apps/app-version.ts";
import { refusalOf, takesCall } from "../../origin-gpu/unserved-calls.ts";
import type { RequestHead } from "../../routing/wire/heads.ts";

const served = (isElsewhere: boolean) => ({ isElsewhere }) as ServedFunction;
const head = (key?: string) => ({ ...(key !== undefined && { key }) }) as RequestHead;

test("where other boxes have all containers, only calls under a key are taken", () => {
  expect(takesCall(served(false), head())).toBe(true);
  expect(takesCall(served(true), head())).toBe(false);
  expect(takesCall(served(true), head("k"))).toBe(true);
  expect(takesCall(undefined, head("k"))).toBe(false);
});

test("each refusal lets the gateway go on to another box, and says why", () => {
  const codes = [refusalOf(undefined, false), refusalOf(served(true), false)];
  expect(codes).toMatchObject([
    { code: "no_origin", detail: "the box does not serve this endpoint" },
    { code: "no_origin", detail: "another box has the endpoint's containers" },
  ]);
  expect(refusalOf(served(false), true)).toMatchObject({ detail: "the box is stopping" });
});

import { expect, test } from "vitest";

import { type AppKind, type Claimant, mayTake } from "../../routing/claims.ts";

function app(kind: AppKind, more: Partial<Claimant> = {}): Claimant {
  return { owner: "ap-1", workspace: "ecorp", kind, startedAt: 1, ...more };
}

test.each<[string, Claimant, Claimant, boolean]>([
  [
    "a deployed app keeps its name before another deployed one",
    app("deployed"),
    app("deployed", { owner: "ap-2" }),
    false,
  ],
  [
    "a deployed app keeps its name before one in place",
    app("deployed"),
    app("in_place", { owner: "ap-2" }),
    false,
  ],
  [
    "an app in place keeps its name before a deployed one",
    app("in_place"),
    app("deployed", { owner: "ap-2" }),
    false,
  ],
  [
    "an ephemeral app never takes one that stays",
    app("deployed"),
    app("ephemeral", { owner: "ap-2", startedAt: 9 }),
    false,
  ],
  [
    "an ephemeral app gives way to a newer one",
    app("ephemeral"),
    app("ephemeral", { owner: "ap-2", startedAt: 2 }),
    true,
  ],
  [
    "an ephemeral app stays before an older one",
    app("ephemeral", { startedAt: 2 }),
    app("ephemeral", { owner: "ap-2" }),
    false,
  ],
  [
    "of two that began at once the holder stays",
    app("ephemeral"),
    app("ephemeral", { owner: "ap-2" }),
    false,
  ],
  [
    "an ephemeral app gives way to a deployment",
    app("ephemeral", { startedAt: 9 }),
    app("deployed", { owner: "ap-2" }),
    true,
  ],
  [
    "an ephemeral app of another workspace stays",
    app("ephemeral"),
    app("deployed", { owner: "ap-2", workspace: "other", startedAt: 9 }),
    false,
  ],
  ["every app may take what it has", app("deployed"), app("deployed"), true],
])("%s", (_name, holder, claimant, expected) => {
  expect(mayTake(holder, claimant)).toBe(expected);
});

/** The failure of a container whose box lacks what it needs, as the operator and the caller read it. */
import { expect, test } from "vitest";
import type { ClaimNeeds } from "../../../origin-gpu/core/claims.ts";
import { cardOut, impossibleClaim } from "../../../origin-gpu/endpoints/claim-words.ts";

test.each<[ClaimNeeds, string]>([
  [{ gpus: [{ count: 1 }] }, "it needs a GPU"],
  [{ gpus: [{ count: 2 }] }, "it needs 2 GPUs"],
  [{ gpus: [{ kind: "H100", count: 2 }, { count: 4 }] }, "it needs 2 × H100 or 4 GPUs"],
  [{ gpuMemoryBytes: 24 * 1024 ** 3 }, "it needs 24.0 GiB of one GPU"],
  [{ gpus: [{ kind: "L4", count: 1 }], port: 8000 }, "it needs 1 × L4 and port 8000"],
])("%j", (needs, words) => {
  expect(impossibleClaim(needs).message).toBe(
    `it can't start here: ${words}, which this box does not have`,
  );
});

test("cards that are out are named, with what is wrong with them", () => {
  const lost = ["a", "b"].map((name) => ({
    id: `GPU-${name}`,
    name: "NVIDIA L4",
    memoryBytes: 0,
    problem: "it is hot",
  }));
  const words = ["a", "b"].map(
    (name) => `its card GPU-${name} (NVIDIA L4) was taken out: it is hot`,
  );
  expect(cardOut(lost)).toMatchObject({
    permanent: false,
    message: `it can't start for now: ${words.join("; ")}`,
  });
});

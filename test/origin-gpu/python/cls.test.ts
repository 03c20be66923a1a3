/** A class of an app, as code that was handed it sees it. */
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { expect, test } from "vitest";
import { ROOT } from "../../support/harness.ts";

const PROGRAM = `
import copy, json, pickle
import postern as modal

app = modal.App("rtc")

class Peer:
    @modal.enter()
    def load(self):
        self.peers = {}

    @modal.method()
    def run(self, q, peer):
        return peer

@app.cls()
class Flipping(Peer):
    pass

found = modal.Cls.from_name("rtc", "Flipping")
print(json.dumps({
    "bases": [base.__name__ for base in Flipping.__bases__],
    "mro": [base.__name__ for base in Flipping.__mro__],
    "method": Flipping().run.tag,
    "others": [hasattr(Flipping, "__len__"), hasattr(found, "__bases__"), copy.copy(found).name],
}))
`;

test("it has the bases of the class that was decorated, with their hooks and methods", () => {
  const env = { ...process.env, PYTHONPATH: join(ROOT, "origin-gpu/python") };
  const printed = execFileSync("python3", ["-c", PROGRAM], { env, encoding: "utf8" });
  expect(JSON.parse(printed)).toEqual({
    bases: ["Peer"],
    mro: ["Flipping", "Peer", "object"],
    method: "Flipping.run",
    others: [false, false, "Flipping"],
  });
});

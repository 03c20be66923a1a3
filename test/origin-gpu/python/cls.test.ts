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

const ANNOTATED = `
import json
import postern as modal

app = modal.App("annotated")

@app.cls()
class Model:
    size: int = modal.parameter(default=1)
    weights: "known.to.a.TypeChecker" = None

    @modal.method()
    def run(self):
        return self.size

print(json.dumps({name: kind.__name__ for name, kind in Model.parameter_types.items()}))
`;

function printedBy(program: string): unknown {
  const env = { ...process.env, PYTHONPATH: join(ROOT, "origin-gpu/python") };
  return JSON.parse(execFileSync("python3", ["-c", program], { env, encoding: "utf8" }));
}

// Python 3.14 evaluates annotations when they are asked for (PEP 649).
test("a parameter has its type where another annotation can't be evaluated", () => {
  expect(printedBy(ANNOTATED)).toEqual({ size: "int" });
});

test("it has the bases of the class that was decorated, with their hooks and methods", () => {
  expect(printedBy(PROGRAM)).toEqual({
    bases: ["Peer"],
    mro: ["Flipping", "Peer", "object"],
    method: "Flipping.run",
    others: [false, false, "Flipping"],
  });
});

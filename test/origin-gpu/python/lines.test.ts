/** Where the mistakes of a Python app are said to stand. */
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { ROOT } from "../../support/harness.ts";
import { temporaryDirectory } from "../../support/temporary.ts";

const DESCRIBE = `import json, sys
from postern import _describe
print(json.dumps(_describe.describe(sys.argv[1], "python3")["problems"]))
`;

/** Each of its lines has one mistake, which shows when the decorator meets what it decorates. */
const DECORATORS = `import postern
app = postern.App("lines")
unknown = app.function(gpux=1)
page = postern.asgi_app()
cls = app.cls()
server = postern.experimental.http_server(8000)
hook = postern.enter()
calls = postern.concurrent(max_inputs=2)


def square(x):
    return x * x


cls(square)
server(square)
page(square)
made = unknown(square)
hook(made)
calls(made)
`;

// Python before 3.11 calls a decorator at the line of its function.
test("a decorator's mistake stands where its arguments do, wherever it meets its function", () => {
  const file = join(temporaryDirectory(), "lines.py");
  writeFileSync(file, DECORATORS);
  const env = { ...process.env, PYTHONPATH: join(ROOT, "origin-gpu/python") };
  const printed = execFileSync("python3", ["-c", DESCRIBE, file], { env, encoding: "utf8" });
  const problem = (line: number, words: string) =>
    expect.objectContaining({ file, line, message: expect.stringContaining(words) });
  expect(JSON.parse(printed)).toEqual(
    expect.arrayContaining([
      problem(3, "square: unknown argument gpux"),
      problem(4, "@asgi_app calls its function without arguments"),
      problem(5, "@app.cls() stands above a class"),
      problem(6, "@http_server stands above a class"),
      problem(7, "@enter stands above @app.function()"),
      problem(8, "@concurrent stands above @app.function()"),
    ]),
  );
});

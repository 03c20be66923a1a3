/** The Python package as others use it: its types, and its wheel. */
import { execFile } from "node:child_process";
import { cpSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { ROOT } from "../../support/harness.ts";
import { temporaryDirectory } from "../../support/temporary.ts";
import { ensurePythonTools } from "../../support/venv.ts";

const PACKAGE = join(ROOT, "origin-gpu/python");
const execute = promisify(execFile);

test("pyright has nothing to say of the package", async () => {
  const tools = await ensurePythonTools();
  const python = ["--pythonpath", join(tools, "python")];
  const { stdout } = await execute(join(tools, "pyright"), python, { cwd: PACKAGE });
  expect(stdout).toContain("0 errors, 0 warnings");
});

test("a function keeps its types, in a container too", async () => {
  const tools = await ensurePythonTools();
  const file = join(temporaryDirectory(), "typed.py");
  const text = `import postern as modal
app = modal.App("typed")

@app.function(gpu="any")
def square(x: int) -> int:
    return x * x

@app.cls()
class Model:
    size: int = modal.parameter(default=3)

    @modal.method()
    def predict(self, x: int) -> str:
        return str(x)

async def main() -> None:
    right: list[int] = [square.remote(3), await square.remote.aio(3), square.spawn(3).get()]
    text: str = Model(size=4).predict.remote(3)
    square.remote("3")
    Model(sise=4)
`;
  writeFileSync(file, text);
  const env = { ...process.env, PYTHONPATH: PACKAGE };
  const judged = await execute(join(tools, "pyright"), [file], { env }).catch(
    (error: unknown) => error as { stdout: string },
  );
  const errors = judged.stdout.split("\n").filter((line) => line.includes(" - error: "));
  expect(errors).toEqual([
    expect.stringContaining(`typed.py:19:19 - error: Argument of type "Literal['3']"`),
    expect.stringContaining('typed.py:20:11 - error: No parameter named "sise"'),
  ]);
});

test("python -m build makes a wheel that needs cloudpickle alone, and knows its types", async () => {
  const tools = await ensurePythonTools();
  const copy = join(temporaryDirectory(), "python");
  cpSync(PACKAGE, copy, { recursive: true });
  const python = join(tools, "python");
  await execute(python, ["-m", "build"], { cwd: copy });
  const wheel = readdirSync(join(copy, "dist")).find((name) => name.endsWith(".whl")) ?? "";
  expect(wheel).toBe("postern-0.1.0-py3-none-any.whl");
  const program = `import sys, zipfile
wheel = zipfile.ZipFile(sys.argv[1])
print("\\n".join(wheel.namelist()))
print(wheel.read("postern-0.1.0.dist-info/METADATA").decode())
`;
  const { stdout } = await execute(python, ["-c", program, join(copy, "dist", wheel)]);
  expect(stdout).toContain("postern/py.typed");
  expect(stdout).not.toMatch(/^postern_container/m);
  expect(stdout.match(/^Requires-Dist: .*$/gm)).toEqual(["Requires-Dist: cloudpickle>=3"]);
});

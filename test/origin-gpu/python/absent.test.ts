/** Names of Modal's package: those that are here, and those that say what there is instead. */
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { ROOT } from "../../support/harness.ts";
import { temporaryDirectory } from "../../support/temporary.ts";

/** Runs a program that prints JSON. */
function printed(program: string, ...words: string[]): unknown {
  const env = { ...process.env, PYTHONPATH: join(ROOT, "origin-gpu/python") };
  const { stdout, stderr } = spawnSync("python3", ["-c", program, ...words], {
    env,
    encoding: "utf8",
  });
  expect(stderr).toBe("");
  return JSON.parse(stdout);
}

const READ = `import functools, json, sys
import postern as modal
def read(name):
    try:
        functools.reduce(getattr, name.split("."), modal)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "here"
print(json.dumps({name: read(name) for name in sys.argv[1:]}))
`;

test("a name that is not here says what there is instead", () => {
  const absent = [
    "Sandbox",
    "config",
    "experimental.clustered",
    "Queue.objects",
    "Dict.delete",
    "Volume.delete",
    "Secret.lookup",
    "Function.lookup",
    "Cls.lookup",
    "Image.from_aws_ecr",
    "App.set_tags",
    "App.get_tags",
    "App.app_id",
    "Dict.info",
    "Queue.info",
    "Queue.validate_partition_key",
    "Secret.info",
    "Volume.info",
    "FilePatternMatcher.can_prune_directories",
    "exception.simulate_preemption",
  ];
  const answers = printed(READ, ...absent) as Record<string, string>;
  for (const name of absent) {
    expect(answers[name]).toMatch(
      new RegExp(`^NotSupportedError: (postern\\.)?${name} is not supported: \\w`),
    );
  }
  const known = ["experimental.stop_fetching_inputs", "FilePatternMatcher", "Dict.from_name"];
  expect(printed(READ, ...known)).toEqual(Object.fromEntries(known.map((name) => [name, "here"])));
  expect(printed(READ, "nothing", "experimental.nothing", "exception.nothing")).toEqual({
    nothing: "AttributeError: postern has no nothing",
    "experimental.nothing": "AttributeError: postern.experimental has no nothing",
    "exception.nothing": "AttributeError: postern.exception has no nothing",
  });
});

const BASES = `import json, sys
from postern import exception
print(json.dumps({name: getattr(exception, name).__mro__[1].__name__ for name in sys.argv[1:]}))
`;

test("errors of what is not here have their names, so that code may catch them", () => {
  const bases = {
    ExecTimeoutError: "TimeoutError",
    FilesystemExecutionError: "Error",
    InteractiveTimeoutError: "TimeoutError",
    ModuleNotMountable: "Exception",
    MountUploadTimeoutError: "TimeoutError",
    SandboxTerminatedError: "Error",
    SandboxTimeoutError: "TimeoutError",
    VolumeUploadTimeoutError: "TimeoutError",
  };
  expect(printed(BASES, ...Object.keys(bases))).toEqual(bases);
});

const MATCH = `import json, sys
from pathlib import Path
from postern import FilePatternMatcher
pattern, *paths = sys.argv[1:]
matcher = FilePatternMatcher(*pattern.split(","))
print(json.dumps([path for path in paths if matcher(Path(path)) and not (~matcher)(Path(path))]))
`;

const PATHS = ["a.py", "src/b.py", "src/deep/c.py", "src/d.txt", "e[1].txt"];

test.each([
  ["*.py", ["a.py"]],
  ["**/*.py", ["a.py", "src/b.py", "src/deep/c.py"]],
  ["src", ["src/b.py", "src/deep/c.py", "src/d.txt"]],
  ["src/**", ["src/b.py", "src/deep/c.py", "src/d.txt"]],
  ["**,!**/*.py", ["src/d.txt", "e[1].txt"]],
  ["src/?.[pt]*", ["src/b.py", "src/d.txt"]],
  ["# nothing", []],
])("the pattern %s", (pattern, matched) => {
  expect(printed(MATCH, pattern, ...PATHS)).toEqual(matched);
});

test("an app that runs itself while its file is read is told where that stands", () => {
  const file = join(temporaryDirectory(), "eager.py");
  writeFileSync(file, 'import postern\napp = postern.App("eager")\n\nwith app.run():\n    pass\n');
  const describe = `import json, sys
from postern import _describe
print(json.dumps(_describe.describe(sys.argv[1], "python3")["problems"]))
`;
  expect(printed(describe, file)).toEqual([
    { file, line: 4, message: expect.stringContaining('below if __name__ == "__main__":') },
  ]);
});

import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, test } from "vitest";

import { formatProblems, loadConfig } from "../../../origin-gpu/config/config.ts";
import { temporaryDirectory } from "../../support/temporary.ts";

async function problemsOf(file: string): Promise<string> {
  const result = await loadConfig(file);
  if (result.ok) throw new Error("accepted");
  return formatProblems(result.problems);
}

describe("a file that can't be a configuration is one clear line", () => {
  test("a missing one", async () => {
    const file = join(temporaryDirectory(), "postern.toml");
    expect(await problemsOf(file)).toBe(`${file}: there is no such file`);
  });

  test("a directory", async () => {
    const directory = temporaryDirectory();
    expect(await problemsOf(directory)).toBe(
      `${directory}: is a directory; name the postern.toml in it`,
    );
  });

  test("bytes that are no text", async () => {
    const file = join(temporaryDirectory(), "postern.toml");
    writeFileSync(file, Buffer.from([0x61, 0xff, 0xfe]));
    expect(await problemsOf(file)).toBe(`${file}: is not UTF-8 text`);
  });

  test("a file of another kind, by its size", async () => {
    const file = join(temporaryDirectory(), "postern.toml");
    writeFileSync(file, "#".repeat(1024 * 1024 + 1));
    expect(await problemsOf(file)).toMatch(/larger than 1 MiB/);
  });
});

test("a working directory is taken relative to the file and must exist", async () => {
  const directory = temporaryDirectory();
  const file = join(directory, "postern.toml");
  writeFileSync(file, 'app = "a"\n[[endpoint]]\nfunction = "f"\nasgi = "s:a"\ndirectory = "sub"\n');
  expect(await problemsOf(file)).toBe(
    `${file}:5: endpoint.f.directory = "sub": must be a directory that exists; it is taken relative to this file`,
  );
  mkdirSync(join(directory, "sub"));
  expect(await loadConfig(file)).toMatchObject({
    ok: true,
    config: { directory, endpoints: [{ directory: join(directory, "sub") }] },
  });
});

test("a missing working directory is said together with what else is wrong", async () => {
  const file = join(temporaryDirectory(), "postern.toml");
  writeFileSync(
    file,
    'app = "a"\n[[endpoint]]\nfunction = "f"\nasgi = "s:a"\ndirectory = "postern.toml"\nmax_inputs = 0\n',
  );
  expect((await problemsOf(file)).split("\n")).toEqual([
    expect.stringContaining(':5: endpoint.f.directory = "postern.toml": must be a directory'),
    expect.stringContaining(":6: endpoint.f.max_inputs = 0: must be"),
  ]);
});

describe("a page that keeps a request open, with one place for requests,", () => {
  test.each([
    ['asgi = "ui.app:app"', "ui/app.py", "import gradio as gr\n", "a Gradio page"],
    ['web_server = ["python", "app.py"]', "app.py", "from gradio import Blocks\n", "a Gradio page"],
    ['web_server = ["python", "main.py"]', "main.py", "import comfy.options\n", "a ComfyUI page"],
  ])("is refused by the imports of its file: %s", async (kind, name, source, page) => {
    const directory = temporaryDirectory();
    const file = join(directory, "postern.toml");
    mkdirSync(dirname(join(directory, name)), { recursive: true });
    writeFileSync(join(directory, name), `"""An app."""\n${source}`);
    writeFileSync(file, `app = "a"\n[[endpoint]]\nfunction = "f"\n${kind}\n`);
    expect(await problemsOf(file)).toMatch(
      new RegExp(
        `^\\S+:4: endpoint\\.f\\.\\w+ = .*: needs max_inputs of more than 1.*${page}.*\\(${name} imports it\\)$`,
      ),
    );
    writeFileSync(file, `app = "a"\n[[endpoint]]\nfunction = "f"\n${kind}\nmax_inputs = 2\n`);
    expect(await loadConfig(file)).toMatchObject({ ok: true });
  });

  test("is none by what is only called like it, nor where its file is not here", async () => {
    const directory = temporaryDirectory();
    const file = join(directory, "postern.toml");
    const endpoints = ["app", "elsewhere"].map(
      (name) => `[[endpoint]]\nfunction = "${name}"\nasgi = "${name}:app"\n`,
    );
    writeFileSync(
      join(directory, "app.py"),
      "import gradio_client\n# import gradio\nx = 'gradio'\n",
    );
    writeFileSync(file, `app = "a"\n${endpoints.join("")}`);
    expect(await loadConfig(file)).toMatchObject({ ok: true });
  });

  test("is none by a function that answers by itself in a file that also has a page", async () => {
    const directory = temporaryDirectory();
    const file = join(directory, "postern.toml");
    writeFileSync(join(directory, "app.py"), "import gradio as gr\n");
    writeFileSync(file, 'app = "a"\n[[endpoint]]\nfunction = "f"\ncallable = "app:predict"\n');
    expect(await loadConfig(file)).toMatchObject({ ok: true });
  });

  test.each([
    ["an ASGI app", 'asgi = "app:page"\nmax_inputs = 100\n'],
    ["a batch", 'asgi = "app:page"\nbatch = { max_batch_size = 8, wait_ms = 5 }\n'],
    ["a preset", 'asgi = "app:page"\napp_kind = "gradio"\n'],
    ["a command", 'directory = "."\nweb_server = ["gradio", "app.py"]\nmax_inputs = 100\n'],
    ["a mistaken number of places", 'asgi = "app:page"\nmax_inputs = "100"\n'],
  ])("is none beside an endpoint that serves the file's page: %s", async (_, page) => {
    const directory = temporaryDirectory();
    const file = join(directory, "postern.toml");
    writeFileSync(join(directory, "app.py"), "import gradio as gr\n");
    const endpoints = [`function = "page"\n${page}`, 'function = "api"\nwsgi = "app:api"\n'];
    writeFileSync(file, `app = "a"\n[[endpoint]]\n${endpoints.join("[[endpoint]]\n")}`);
    const result = await loadConfig(file);
    expect(result.ok ? "" : formatProblems(result.problems)).not.toContain("imports it");
  });

  test.each([
    ["the same attribute", 'asgi = "app:api"\nmax_inputs = 100\n'],
    ["one place as well", 'asgi = "app:page"\n'],
    ["a file of that name elsewhere", 'directory = "sub"\nasgi = "app:page"\nmax_inputs = 100\n'],
  ])("is refused beside an endpoint with %s", async (_, other) => {
    const directory = temporaryDirectory();
    const file = join(directory, "postern.toml");
    mkdirSync(join(directory, "sub"));
    writeFileSync(join(directory, "app.py"), "import gradio as gr\n");
    const endpoints = [`function = "other"\n${other}`, 'function = "api"\nasgi = "app:api"\n'];
    writeFileSync(file, `app = "a"\n[[endpoint]]\n${endpoints.join("[[endpoint]]\n")}`);
    expect(await problemsOf(file)).toMatch(/endpoint\.api\.asgi = .*\(app\.py imports it\)/);
  });
});

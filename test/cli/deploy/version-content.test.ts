/** What a version keeps of a postern.toml: everything that means the same on another machine. */
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";
import { readApp } from "../../../cli/app-config.ts";
import { needsCode, versionContent } from "../../../cli/deploy/version-content.ts";
import { temporaryDirectory } from "../../support/temporary.ts";

/** An app's directory with these files, and a postern.toml with these endpoints. */
async function app(
  endpoints: string | ((directory: string) => string),
  files: readonly string[] = [],
) {
  const directory = temporaryDirectory();
  for (const file of files) {
    mkdirSync(dirname(join(directory, file)), { recursive: true });
    writeFileSync(join(directory, file), "");
  }
  const file = join(directory, "postern.toml");
  const text = typeof endpoints === "string" ? endpoints : endpoints(directory);
  writeFileSync(file, `workspace = "w"\nenvironment = "dev"\napp = "shop"\n${text}`);
  const snapshot = { hash: "ab".repeat(32), bytes: 512, paths: new Set(files) };
  return { directory, source: await readApp(file, {}), snapshot };
}

const endpointsOf = ({ config }: { config: Record<string, unknown> }) => config["endpoint"];

test("workspace and environment are no part of it; what the edge must know stands beside the file's words", async () => {
  const { source, snapshot } = await app(
    `[[endpoint]]
     function = "pay"
     label = "till"
     asgi = "server:app"
     requires_proxy_auth = true
     timeout = 5`,
    ["server.py"],
  );
  expect(versionContent(source, snapshot)).toEqual({
    config: {
      app: "shop",
      endpoint: [
        {
          function: "pay",
          label: "till",
          asgi: "server:app",
          requires_proxy_auth: true,
          timeout: 5,
        },
      ],
    },
    code: { hash: snapshot.hash, bytes: 512 },
    endpoints: [
      {
        function: "pay",
        label: "till",
        pool: "pay",
        settings: { requiresProxyAuth: true, timeout: 5, resultTtl: 604_800 },
        secrets: [],
        startupTimeout: 5,
      },
    ],
  });
});

test("where an app may run stands at each of its endpoints; a guest names whose containers it is on", async () => {
  const { source, snapshot } = await app(
    `[[endpoint]]
     function = "a"
     directory = "api"
     asgi = "server:app"
     boxes = ["gpu-*"]
     region = ["eu"]
     [[endpoint]]
     function = "b"
     containers_of = "a"`,
    ["api/server.py"],
  );
  const content = versionContent(source, snapshot);
  expect(content.endpoints).toMatchObject([
    { function: "a", pool: "a", boxes: ["gpu-*"], region: ["eu"] },
    { function: "b", pool: "a", boxes: ["gpu-*"], region: ["eu"] },
  ]);
  expect(endpointsOf(content)).toEqual([
    expect.objectContaining({ function: "a", directory: "api" }),
    { function: "b", containers_of: "a" },
  ]);
});

test("a program that the snapshot has stays relative; one that it leaves out is this machine's", async () => {
  const { source, snapshot, directory } = await app(
    `[[endpoint]]
     function = "a"
     directory = "./api/"
     asgi = "server:app"
     python = "../.venv/bin/python"
     [[endpoint]]
     function = "b"
     web_server = ["./bin/serve", "--port", "$PORT"]
     [[endpoint]]
     function = "c"
     web_server = [".venv/bin/serve", "./data"]
     [[endpoint]]
     function = "d"
     web_server = ["serve"]
     [[endpoint]]
     function = "e"
     web_server = ["/opt/serve"]`,
    ["api/server.py", "bin/serve"],
  );
  expect(endpointsOf(versionContent(source, snapshot))).toMatchObject([
    { directory: "api", python: join(directory, ".venv/bin/python") },
    { web_server: ["./bin/serve", "--port", "$PORT"] },
    { web_server: [join(directory, ".venv/bin/serve"), "./data"] },
    { web_server: ["serve"] },
    { web_server: ["/opt/serve"] },
  ]);
});

test("an absolute directory inside the app's own becomes relative", async () => {
  const { source, snapshot } = await app(
    (directory) => `[[endpoint]]
     function = "a"
     directory = "${directory}/api"
     asgi = "server:app"`,
    ["api/server.py"],
  );
  expect(endpointsOf(versionContent(source, snapshot))).toMatchObject([{ directory: "api" }]);
});

test("directories that are not deployed are refused, all of them at once", async () => {
  const { source, snapshot } = await app(
    `[[endpoint]]
     function = "out"
     directory = ".."
     asgi = "server:app"
     [[endpoint]]
     function = "ignored"
     directory = "build"
     web_server = ["serve"]`,
    ["build/server.py"],
  );
  const withoutBuild = { ...snapshot, paths: new Set(["postern.toml"]) };
  expect(() => versionContent(source, withoutBuild)).toThrow(
    /endpoint\.out\.directory = "[^"]+": is outside of .*\n.*endpoint\.ignored\.directory = .*no file/,
  );
});

test("an app of servers that run already needs no code", async () => {
  const { source } = await app(`[[endpoint]]
     function = "ui"
     upstream = "http://127.0.0.1:8188"`);
  expect(needsCode(source.config)).toBe(false);
  expect(versionContent(source, undefined)).toMatchObject({
    config: { endpoint: [{ function: "ui", upstream: "http://127.0.0.1:8188" }] },
    code: null,
  });
});

test("a Python file is an app of one function, under its own name or a given one", async () => {
  const directory = temporaryDirectory();
  const file = join(directory, "server.py");
  writeFileSync(file, "");
  const endpoint = [{ function: "app", asgi: "server:app" }];
  expect((await readApp(file, {})).document).toEqual({ app: "server", endpoint });
  expect((await readApp(file, { name: "shop" })).document).toEqual({ app: "shop", endpoint });
  const { config } = await readApp(file, { name: "shop" });
  expect(config).toMatchObject({ app: "shop", endpoints: [{ directory }] });
});

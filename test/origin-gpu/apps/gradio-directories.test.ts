/** One directory for the files of all containers of a Gradio endpoint. */
import {
  chmodSync,
  existsSync,
  mkdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { afterEach, expect, test, vi } from "vitest";
import { GradioDirectories } from "../../../origin-gpu/apps/gradio-directories.ts";
import type { EndpointConfig } from "../../../origin-gpu/config/config.ts";
import { temporaryDirectory } from "../../support/temporary.ts";
import { endpointConfig } from "../containers/endpoint.ts";

const FOLDER = "0a".repeat(32);

const gradio = (settings: Partial<EndpointConfig> = {}): EndpointConfig =>
  endpointConfig({
    kind: { type: "web_server", command: ["python", "app.py"] },
    affinity: { rules: ["gradio"], mode: "soft" },
    ...settings,
  });

afterEach(() => vi.unstubAllEnvs());

test("each endpoint has one that others can't enter, and the same in each version", () => {
  const directories = new GradioDirectories(temporaryDirectory(), undefined);
  const first = directories.open("main/shop", gradio({ function: "ui" }));
  const again = directories.open("main/shop", gradio({ function: "ui" }));
  const others = [
    directories.open("main/shop", gradio({ function: "admin" })),
    directories.open("test/shop", gradio({ function: "ui" })),
  ];
  expect(first?.variables).toEqual({ GRADIO_TEMP_DIR: again?.path });
  expect(new Set([first, ...others].map((one) => one?.path)).size).toBe(3);
  expect(statSync(first?.path ?? "").mode & 0o777).toBe(0o700);
});

test("an endpoint has none without the preset, or where its user has chosen one", () => {
  const directories = new GradioDirectories(temporaryDirectory(), undefined);
  const cookies: Partial<EndpointConfig> = { affinity: { rules: ["cookie"], mode: "soft" } };
  expect(directories.open("main/shop", gradio(cookies))).toBeUndefined();
  expect(
    directories.open("main/shop", gradio({ env: { GRADIO_TEMP_DIR: "/data" } })),
  ).toBeUndefined();
  vi.stubEnv("GRADIO_TEMP_DIR", "/data");
  expect(directories.open("main/shop", gradio())).toBeUndefined();
});

test("no part of its path begins with a dot, since Gradio 3.50 serves no file below one", () => {
  vi.stubEnv("TMPDIR", temporaryDirectory());
  const open = (state: string) =>
    new GradioDirectories(state, undefined).open("main/shop", gradio())?.path ?? "";
  const home = temporaryDirectory();
  const state = join(home, ".postern/box");
  const path = open(state);
  expect(path).not.toContain("/.");
  expect(statSync(path).mode & 0o777).toBe(0o700);
  expect(open(state)).toBe(path);
  expect(open(join(home, ".postern/other"))).not.toBe(path);
});

test.each([
  ["a link", (path: string) => symlinkSync(temporaryDirectory(), path)],
  ["a folder that others may write to", (path: string) => mkdirSync(path)],
  ["a file", (path: string) => writeFileSync(path, "")],
])("it stays where it is where %s has the other place", (_, put) => {
  vi.stubEnv("TMPDIR", temporaryDirectory());
  const state = join(temporaryDirectory(), ".postern");
  const open = () => new GradioDirectories(state, undefined).open("main/shop", gradio())?.path;
  const place = join(open() ?? "", "../../..");
  rmSync(place, { recursive: true });
  put(place);
  if (statSync(place).isDirectory()) chmodSync(place, 0o777);
  expect(open()).toMatch(`${state}/`);
});

test("files that lie in it are known by their folder's key, and no other path is looked at", () => {
  const directories = new GradioDirectories(temporaryDirectory(), undefined);
  const directory = directories.open("main/shop", gradio());
  mkdirSync(join(directory?.path ?? "", FOLDER));
  expect(directory?.hasOne(["session_hash=a", `file=${FOLDER}`])).toBe(true);
  expect(directory?.hasOne([`file=${"0b".repeat(32)}`])).toBe(false);
  expect(directory?.hasOne(["file=..", "file=../..", "file=", `event_id=${FOLDER}`])).toBe(false);
});

test("it goes with its app; what its links lead to stays", async () => {
  const state = temporaryDirectory();
  const directories = new GradioDirectories(state, undefined);
  const directory = directories.open("main/shop", gradio());
  const other = directories.open("main/other", gradio());
  const outside = temporaryDirectory();
  writeFileSync(join(outside, "file"), "kept");
  symlinkSync(outside, join(directory?.path ?? "", "link"));
  await directories.remove("main/shop");
  await directories.remove("main/never-here");
  expect(existsSync(directory?.path ?? "")).toBe(false);
  expect(existsSync(other?.path ?? "")).toBe(true);
  expect(existsSync(join(outside, "file"))).toBe(true);
});

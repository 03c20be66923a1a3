/** Files that a request names by their paths on another box are brought to this one, and nothing else is. */
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, test } from "vitest";
import {
  GradioDirectories,
  type GradioDirectory,
} from "../../../origin-gpu/apps/gradio-directories.ts";
import { type FetchFile, GradioFiles } from "../../../origin-gpu/apps/gradio-files.ts";
import { RequestBody } from "../../../origin-gpu/calls/request-body.ts";
import { sharedFile } from "../../../routing/wire/shared-files.ts";
import type { RequestHead } from "../../../routing/wire/heads.ts";
import { endpointConfig } from "../containers/endpoint.ts";
import { temporaryDirectory } from "../../support/temporary.ts";

const FOLDER = "0a".repeat(32);
const UPLOADED = "what the client uploaded";

let here: GradioDirectory;
let there: GradioDirectory;
let asked: string[];
let lines: string[];

function box(): GradioDirectory {
  const settings = endpointConfig({
    kind: { type: "web_server", command: ["python", "app.py"] },
    affinity: { rules: ["gradio"], mode: "soft" },
  });
  const directory = new GradioDirectories(temporaryDirectory(), undefined).open(
    "main/ui",
    settings,
  );
  return directory ?? expect.fail("a Gradio endpoint has a directory");
}

beforeEach(() => {
  [here, there] = [box(), box()];
  [asked, lines] = [[], []];
  mkdirSync(join(there.path, FOLDER));
  writeFileSync(join(there.path, FOLDER, 'an "odd" é.txt'), UPLOADED);
});

/** As the other box answers. */
const fetchFromThere: FetchFile = async (file) => {
  asked.push(`${file.folder}/${file.name}`);
  const found = await there.open(file);
  if (found === undefined) throw new Error("no other box has it");
  return found;
};

/** The request as the app gets it. */
async function bring(
  json: string,
  fetch = fetchFromThere,
  head: Partial<RequestHead> = {},
): Promise<{ text: string; length: string | undefined }> {
  const body = new RequestBody(undefined, Buffer.from(json), true);
  const headers = ["content-type", "application/json", "content-length", `${json.length}`];
  const call = { head: { method: "POST", headers, ...head } as RequestHead, body };
  await new GradioFiles(here, fetch, (line) => lines.push(line)).bring(call);
  return { text: Buffer.from(body.whole() ?? "").toString(), length: headers[3] };
}

const naming = (path: string): string =>
  `{"data": [{"path": ${JSON.stringify(path)}, "size": 1.0}], "session_hash": "s"}`;

describe("a request that names a file of another box", () => {
  test("goes to the app with this box's path, when the file is here; the rest of it is as it was", async () => {
    const file = { folder: FOLDER, name: 'an "odd" é.txt' };
    const { text, length } = await bring(naming(there.pathOf(file)));
    expect(text).toBe(naming(here.pathOf(file)));
    expect(length).toBe(`${Buffer.byteLength(text)}`);
    expect(readFileSync(here.pathOf(file), "utf8")).toBe(UPLOADED);
    await bring(naming(there.pathOf(file)));
    expect(asked).toHaveLength(1);
  });

  test("goes as it came where nobody has the file, and the log says why", async () => {
    const json = naming(join(there.path, FOLDER, "gone.txt"));
    expect((await bring(json)).text).toBe(json);
    expect(lines).toEqual([expect.stringContaining("no other box has it")]);
  });

  test("goes as it came where the file comes short: none is here then", async () => {
    const file = { folder: FOLDER, name: "short.txt" };
    const json = naming(there.pathOf(file));
    const short: FetchFile = async () => ({
      bytes: 10,
      content: (async function* () {
        yield Buffer.from("five.");
      })(),
    });
    expect((await bring(json, short)).text).toBe(json);
    expect(await here.has(file)).toBe(false);
    const broken: FetchFile = async () => ({
      bytes: 10,
      content: (async function* () {
        yield Buffer.from("five.");
        throw new Error("the link broke");
      })(),
    });
    expect((await bring(json, broken)).text).toBe(json);
    expect(await here.has(file)).toBe(false);
  });

  test("asks for 32 files at most", async () => {
    const paths = Array.from({ length: 40 }, (_, index) => join(there.path, FOLDER, `${index}`));
    await bring(JSON.stringify({ data: paths }));
    expect(asked).toHaveLength(32);
  });
});

describe("nothing is asked for", () => {
  test.each([
    ["a path out of the directory", () => join(there.path, "..", "..", "secret")],
    ["a step back in it", () => `${there.path}/${FOLDER}/..`],
    ["a step back behind it", () => `${there.path}/${FOLDER}/../../x`],
    ["a folder that is no hash", () => `${there.path}/etc/passwd`],
    ["a deeper path", () => `${there.path}/${FOLDER}/a/b`],
    ["no name", () => `${there.path}/${FOLDER}/`],
    ["a NUL", () => `${there.path}/${FOLDER}/a\0b`],
    ["half of a character", () => `${there.path}/${FOLDER}/a\ud800`],
    ["a name that is too long", () => `${there.path}/${FOLDER}/${"é".repeat(128)}`],
    [
      "another endpoint's directory",
      () => `/state/gradio/0000000000000000/1111111111111111/${FOLDER}/a`,
    ],
    ["a URL", () => `http://host${there.path}/${FOLDER}/a`],
  ])("for %s", async (_, path) => {
    const json = naming(path());
    expect((await bring(json)).text).toBe(json);
    expect(asked).toEqual([]);
  });

  test("of requests that are no POST of JSON", async () => {
    const json = naming(join(there.path, FOLDER, "a"));
    await bring(json, fetchFromThere, { method: "GET" });
    await bring(json, fetchFromThere, { headers: ["content-type", "text/plain"] });
    await bring(json.slice(0, 20));
    expect(asked).toEqual([]);
  });

  test("of bodies of more than a MiB", async () => {
    await bring(`${" ".repeat(1024 * 1024)}${naming(join(there.path, FOLDER, "a"))}`);
    expect(asked).toEqual([]);
  });
});

describe("a box gives another one", () => {
  const named = (name: string) => ({ folder: FOLDER, name });

  test("no link, no directory and no file that is not there", async () => {
    const secret = join(temporaryDirectory(), "secret");
    writeFileSync(secret, "secret");
    symlinkSync(secret, join(there.path, FOLDER, "link"));
    mkdirSync(join(there.path, FOLDER, "directory"));
    expect(await there.open(named("link"))).toBeUndefined();
    expect(await there.open(named("directory"))).toBeUndefined();
    expect(await there.open(named("missing"))).toBeUndefined();
  });

  test("an empty file too", async () => {
    writeFileSync(join(there.path, FOLDER, "empty"), "");
    const json = naming(there.pathOf(named("empty")));
    expect((await bring(json)).text).toBe(naming(here.pathOf(named("empty"))));
  });
});

test("a file's path has a hash and a name, and nothing else", () => {
  expect(sharedFile(`${FOLDER}/a.png`)).toEqual({ folder: FOLDER, name: "a.png" });
  expect(sharedFile(`${"0a".repeat(20)}/a.png`)).toBeDefined();
  for (const path of ["", "a.png", FOLDER, `${FOLDER}/`, `${FOLDER}/.`, `../${FOLDER}/a`]) {
    expect(sharedFile(path)).toBeUndefined();
  }
});

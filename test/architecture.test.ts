import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import {
  circles,
  forbiddenImports,
  homonyms,
  impurities,
  loadersOf,
  longFiles,
  ROOMS,
  roomOf,
  type Sources,
} from "./architecture/rules.ts";
import { codeOf, importsOf, UNREADABLE_IMPORT } from "./architecture/source-scan.ts";

const ROOT = fileURLToPath(new URL("..", import.meta.url));

/** Every source file of every room. */
function repository(): Sources {
  const sources = new Map<string, string>();
  for (const folder of new Set(Object.keys(ROOMS).map((room) => room.split("/")[0] as string))) {
    for (const name of readdirSync(join(ROOT, folder), { recursive: true, encoding: "utf8" })) {
      const path = `${folder}/${name.replaceAll("\\", "/")}`;
      if (/\.(?:ts|js)$/.test(name)) sources.set(path, readFileSync(join(ROOT, path), "utf8"));
    }
  }
  return sources;
}

/** Why a file is longer than 300 lines. */
const REASONS: Readonly<Record<string, string>> = {
  "cli/client.ts": "one client: its calls, and what each failure of the network or the API says",
  "gateway/objects/link/origin.ts":
    "one class that the platform calls: its events, verbs and state belong together",
  "gateway/objects/workspace/workspace.ts":
    "one class that the platform calls: each method of the contract, and whose work it is",
  "origin-gpu/calls/call.ts":
    "one state machine: each event of a call, and what it does to work and response",
  "origin-gpu/calls/store/result-store.ts":
    "one directory: its quota, packs and files are counted together",
  "origin-gpu/core/box.ts": "one state machine: each event of claims and cards, and its effects",
  "origin-gpu/core/pool.ts":
    "one state machine: each event of calls and containers, and its effects",
  "origin-gpu/endpoints/pool-driver.ts":
    "one pool in real time: each of its effects, and what carries it out",
  "origin-gpu/examples/demo/server.ts": "a user copies it as one file",
  "routing/wire/errors.ts": "one table: every error that Postern answers by itself",
  "routing/wire/multiplexer.ts": "one state machine: every frame and what it does to the streams",
};

describe("the repository", () => {
  const sources = repository();

  it("has files in every room", () => {
    const inhabited = new Set([...sources.keys()].map(roomOf));
    expect(inhabited).toEqual(new Set(Object.keys(ROOMS)));
  });

  it("imports along the arrows and through the doors only", () => {
    expect(forbiddenImports(sources)).toEqual([]);
  });

  it("has no circle of imports", () => {
    expect(circles(sources)).toEqual([]);
  });

  it("has no exported type whose name another file declares", () => {
    expect(homonyms(sources)).toEqual([]);
  });

  it("has no long file without a reason", () => {
    expect(longFiles(sources, REASONS)).toEqual([]);
  });

  it("loads the agent, which takes longest to load, in the commands that run it alone", () => {
    expect(loadersOf("origin-gpu/agent.ts", "cli/commands", sources)).toEqual(
      ["forward", "origin", "run", "serve", "up"].map((name) => `cli/commands/${name}.ts`),
    );
  });

  it("has no clock, timer, randomness or I/O in its pure rooms", () => {
    expect(impurities(sources)).toEqual([]);
  });
});

describe("the rules", () => {
  const one = (path: string, text: string): Sources => new Map([[path, text]]);

  it.each([
    ["base/a.ts", `import { within } from "./runtime/within.ts";`],
    ["gateway/objects/a.ts", `import { tryLock } from "../../base/node/file-lock.ts";`],
    ["base/runtime/a.ts", `import { MAX_STREAMS_PER_LINK } from "../../routing/wire/limits.ts";`],
    ["routing/a.ts", `import { within } from "../base/runtime/within.ts";`],
    ["routing/a.ts", `import { readFileSync } from "node:fs";`],
    ["routing/a.ts", `import type { Env } from "../gateway/contracts/env.ts";`],
    ["routing/wire/a.ts", `export { a } from "../names.ts";`],
    ["routing/wire/a.ts", `export * from "../names.ts";`],
    ["auth/a.ts", `import "../routing/names.ts";`],
    ["auth/a.ts", `import { z } from "zod";`],
    ["auth/a.ts", `const a = await import(\n  "node:fs"\n);`],
    ["auth/a.ts", `type A = import("../gateway/contracts/env.ts").Env;`],
    ["auth/a.ts", "await import(`node:fs`)"],
    ["auth/a.ts", "await import(name)"],
    ["gateway/a.ts", `import {\n  type A,\n  b,\n} from "../origin-gpu/agent.ts";`],
    ["gateway/a.ts", `import fs from 'node:fs'`],
    ["gateway/worker/a.ts", `import type { B } from "../objects/b.ts";`],
    ["gateway/objects/a.ts", `import type { B } from "../worker/b.ts";`],
    ["gateway/contracts/a.ts", `import type { B } from "../objects/b.ts";`],
    ["origin-gpu/a.ts", `import { parseHost } from "../routing/host.ts";`],
    ["origin-gpu/a.ts", `import { a } from "../cli/main.ts";`],
    ["origin-gpu/a.ts", `import { a } from "../test/support/harness.ts";`],
    ["origin-gpu/examples/demo/server.ts", `import { a } from "../../link/link.ts";`],
    ["origin-gpu/examples/demo/server.ts", `import { Pool } from "undici";`],
    ["cli/a.ts", `import { Link } from "../origin-gpu/link/link.ts";`],
    ["cli/a.ts", `import worker from "../gateway/worker.ts";`],
    ["cli/a.ts", `import { chalk } from "chalk";`],
  ])("refuse in %s: %s", (path, text) => {
    expect(forbiddenImports(one(path, text))).toHaveLength(1);
  });

  it.each([
    ["routing/wire/a.ts", `import { KIB } from "../../base/units.ts";`],
    ["gateway/objects/a.ts", `import { within } from "../../base/runtime/within.ts";`],
    ["routing/a.ts", `import { COALESCE_MS } from "./wire/limits.ts"; import { b } from "./b.ts";`],
    ["routing/a.ts", `// import { a } from "node:fs";\nconst text = 'import "node:fs"';`],
    ["routing/a.ts", 'const text = `import("node:fs") ${\'import "node:fs"\'}`;'],
    ["auth/a.ts", `import { jwtVerify } from "jose";`],
    ["gateway/worker/a.ts", `import { Hono } from "hono"; import { cors } from "hono/cors";`],
    ["gateway/worker/api/a.ts", `import type { B } from "../../contracts/b.ts";`],
    ["gateway/objects/link/a.ts", `import { DurableObject } from "cloudflare:workers";`],
    ["origin-gpu/link/a.ts", `import { b } from "../calls/b.ts"; import { Pool } from "undici";`],
    ["cli/a.ts", `import { startAgent } from "../origin-gpu/agent.ts";`],
    ["test/a.ts", `import { Link } from "../origin-gpu/link/link.ts";`],
  ])("allow in %s: %s", (path, text) => {
    expect(forbiddenImports(one(path, text))).toEqual([]);
  });

  it("find a circle of three files, also where types close it, and none where two ways meet", () => {
    const circle = new Map([
      ["auth/a.ts", `import "./b.ts";`],
      ["auth/b.ts", `import { type C } from "./c.ts";`],
      ["auth/c.ts", `export { a } from "./a.ts";`],
    ]);
    expect(circles(circle)).toEqual(["auth/a.ts -> auth/b.ts -> auth/c.ts -> auth/a.ts"]);
    const diamond = new Map([
      ["auth/a.ts", `import "./b.ts"; import "./c.ts";`],
      ["auth/b.ts", `import "./c.ts";`],
    ]);
    expect(circles(diamond)).toEqual([]);
    const types = new Map([
      ["auth/a.ts", `import { b } from "./b.ts";`],
      ["auth/b.ts", `import type { A } from "./a.ts"; export type { A } from "./a.ts";`],
    ]);
    expect(circles(types)).toEqual(["auth/a.ts -> auth/b.ts -> auth/a.ts"]);
  });

  it("find an exported type that another file declares, and none that are local to both", () => {
    const sources = new Map([
      ["auth/a.ts", "export interface Call {}\ninterface Row {}\ntype Key = 1;"],
      ["gateway/b.ts", "type Call = string;\ninterface Row {}\nexport class Key {}"],
      ["gateway/c.ts", "// export class Call\nexport class Other {}\nexport type Other = 1;"],
    ]);
    expect(homonyms(sources)).toEqual([
      "Call: auth/a.ts, gateway/b.ts",
      "Key: auth/a.ts, gateway/b.ts",
    ]);
  });

  it("find a long file without a reason, and a reason without a long file", () => {
    const sources = new Map([
      ["a.ts", "1\n2\n3\n"],
      ["b.ts", "1\n2\n3\n"],
      ["c.ts", "1\n2\n"],
    ]);
    expect(longFiles(sources, { "b.ts": "why", "c.ts": "why", "d.ts": "why" }, 2)).toEqual([
      "a.ts: 3 lines",
      "c.ts: is not long any more",
      "d.ts: there is no such file",
    ]);
  });

  it.each([
    "const now = Date.now();",
    "const now = new Date();",
    "const now = new Date;",
    "const now = Date();",
    "const now = performance.now();",
    "setTimeout(done, 5);",
    "return new Promise((resolve) => setImmediate(resolve));",
    "const a = Math.random();",
    "crypto.getRandomValues(bytes);",
    "const id = crypto.randomUUID();",
    "const answer = await fetch(url);",
    "const socket = new WebSocket(url);",
    "const home = process.env.HOME;",
    "console.log(1);",
    "const text = `at ${Date.now()}`;",
    "const text = `${a}${`${Math.random()}`}`;",
    "const ratio = a / b; const now = Date.now(); const other = c / d;",
  ])("refuse in a pure room: %s", (text) => {
    expect(impurities(one("routing/a.ts", text))).toHaveLength(1);
    expect(impurities(one("gateway/a.ts", text))).toEqual([]);
  });

  it.each([
    "// Date.now() is an argument",
    "/* setTimeout(a, 1) */ const a = 1;",
    "const text = \"Date.now()\"; const other = 'Math.random()';",
    "const text = `Date.now() ${name} fetch(`;",
    "const pattern = /fetch('[/\"]Date.now/g;",
    "const date = new Date(milliseconds);",
    "await remote.fetch(url);",
    "const processed = reprocess.done;",
  ])("allow in a pure room: %s", (text) => {
    expect(impurities(one("auth/a.ts", text))).toEqual([]);
  });
});

describe("the scanner", () => {
  it("leaves every character of code in its place", () => {
    const text = "a('x//y', `b${c({ d: `e` })}f`) /* g\nh */ / 2 / i; j = /[/`]'/ // k";
    const code = codeOf(text);
    expect(code).toHaveLength(text.length);
    expect(code.replace(/ +/g, " ")).toBe("a(' ', ` ${c({ d: ` ` })} `) \n / 2 / i; j = / / ");
  });

  it("tells types from values", () => {
    const typeOnly = (text: string) => importsOf(text).map((found) => found.typeOnly);
    expect(typeOnly(`import type A from "a"; import type { B } from "b";`)).toEqual([true, true]);
    expect(typeOnly(`import { type A } from "a"; import type, { B } from "b";`)).toEqual([
      false,
      false,
    ]);
  });

  it("is not led astray by a quote in a regular expression", () => {
    expect(importsOf(`const a = /["']/; import { b } from "./b.ts";`)).toEqual([
      { specifier: "./b.ts", typeOnly: false },
    ]);
    expect(importsOf("await import(a + './b.ts')")).toEqual([
      { specifier: UNREADABLE_IMPORT, typeOnly: false },
    ]);
  });
});

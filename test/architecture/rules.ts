/**
 * The rooms of the repository, which of them may import which, and what the pure ones may not touch.
 * docs/architecture.md says why; this table is what holds.
 */
import { posix } from "node:path";
import { codeOf, importsOf, UNREADABLE_IMPORT } from "./source-scan.ts";

/** Source text by path from the repository's root, with forward slashes. */
export type Sources = ReadonlyMap<string, string>;

interface Room {
  /** Folders that its files may import from, besides its own. */
  rooms: readonly string[];
  /** Packages and built-in modules; a `*` at the end stands for anything. */
  packages: readonly string[];
  /** No clock, timers, randomness or I/O: they come as arguments. */
  pure?: true;
}

/** The longest folder that a path begins with is its room; files outside all rooms are free. */
export const ROOMS: Readonly<Record<string, Room>> = {
  // What every room needs: units, results, header lists, the observer's events.
  base: { rooms: [], packages: [], pure: true },
  // The same with timers.
  "base/runtime": { rooms: ["base"], packages: [] },
  // The same with Node's own modules, for agent and commands.
  "base/node": { rooms: ["base", "base/runtime"], packages: ["node:*"] },
  "routing/wire": { rooms: ["base"], packages: ["zod"], pure: true },
  // Session keys, for the edge that finds them in requests and for the agent that learns them from responses.
  "routing/affinity": { rooms: ["base"], packages: ["@noble/hashes/sha2.js"], pure: true },
  routing: { rooms: ["base", "routing/wire"], packages: [], pure: true },
  // The HTTP API, for the gateway that serves it and the command that calls it.
  api: { rooms: ["base", "routing", "routing/wire"], packages: ["zod"], pure: true },
  auth: { rooms: ["base", "routing/wire"], packages: ["jose"], pure: true },
  gateway: {
    rooms: ["gateway/contracts", "gateway/worker", "gateway/objects"],
    packages: [],
  },
  // Between the Worker and the objects: each sees the other through these alone.
  "gateway/contracts": {
    rooms: ["api", "base", "base/runtime", "routing", "routing/wire", "auth"],
    packages: [],
  },
  "gateway/worker": {
    rooms: [
      "gateway/contracts",
      "api",
      "base",
      "base/runtime",
      "routing",
      "routing/affinity",
      "routing/wire",
      "auth",
    ],
    packages: ["hono", "hono/*", "oauth4webapi", "zod"],
  },
  // The dashboard's program, in a browser. Of the API it takes types and sums, no schemas.
  "gateway/dashboard": { rooms: ["api"], packages: [] },
  "gateway/objects": {
    rooms: ["gateway/contracts", "api", "base", "base/runtime", "routing", "routing/wire", "auth"],
    packages: ["cloudflare:workers", "zod"],
  },
  "origin-gpu": {
    rooms: [
      "base/node",
      "base",
      "base/runtime",
      "routing/affinity",
      "routing/wire",
      "auth",
      "origin-gpu/core",
    ],
    packages: ["node:*", "undici", "smol-toml", "zod", "ignore", "tar"],
  },
  // What serves an app in TypeScript, in the app's own process. It imports its user's file.
  "origin-gpu/module": { rooms: [], packages: ["node:*", "ws", UNREADABLE_IMPORT] },
  // Decisions of the agent without its processes and its clock.
  "origin-gpu/core": {
    rooms: ["base", "routing/affinity", "routing/wire"],
    packages: [],
    pure: true,
  },
  // What users copy stands alone.
  "origin-gpu/examples": { rooms: [], packages: ["node:*", "postern/asgi"] },
  cli: {
    rooms: [
      "api",
      "base/node",
      "base",
      "base/runtime",
      "routing",
      "routing/wire",
      "auth",
      "origin-gpu",
    ],
    packages: ["node:*", "chokidar", "esbuild", "smol-toml", "zod"],
  },
};

/** A room that others enter by its doors alone. The gateway has none: it is bundled by path, not imported. */
const DOORS: Readonly<Record<string, readonly string[]>> = {
  "origin-gpu": [
    "origin-gpu/agent.ts",
    "origin-gpu/app-user.ts",
    "origin-gpu/apps/shared-data.ts",
    "origin-gpu/code/not-code.ts",
    "origin-gpu/code/pack-code.ts",
    "origin-gpu/config/config.ts",
  ],
};

/** What a pure room may not name, as it stands in code. */
const IMPURE: readonly (readonly [pattern: RegExp, what: string])[] = [
  [
    /\bDate\s*\.\s*now\b|\bnew\s+Date\s*(?:\(\s*\)|[^(\s])|(?<!new\s)(?<![.\w$])Date\s*\(/,
    "the clock",
  ],
  [/\bperformance\b|\bTemporal\s*\.\s*Now\b/, "the clock"],
  [/(?<![.\w$])set(?:Timeout|Interval|Immediate)\b|\bscheduler\b/, "timers"],
  [/\bMath\s*\.\s*random\b|\bgetRandomValues\b|\brandomUUID\b|\bgenerateKey\b/, "randomness"],
  [
    /(?<![.\w$])(?:fetch|require)\s*\(|\bnew\s+(?:WebSocket|EventSource|Worker|BroadcastChannel)\b/,
    "I/O",
  ],
  [/(?<![.\w$])(?:process|console|caches|navigator|globalThis)\s*[.[]/, "I/O"],
];

/** Imports against the arrows or past a door. */
export function forbiddenImports(sources: Sources): string[] {
  const problems: string[] = [];
  for (const [path, text] of sources) {
    const home = roomOf(path);
    if (home === undefined) continue;
    const room = ROOMS[home] as Room;
    for (const { specifier } of importsOf(text)) {
      const problem = specifier.startsWith(".")
        ? judgeFile(home, room, posix.join(posix.dirname(path), specifier))
        : judgePackage(room, specifier);
      if (problem !== undefined) problems.push(`${path}: ${problem}`);
    }
  }
  return problems;
}

/** Circles of files, each once, as the paths along it. Imports of types count: they hide layers as well. */
export function circles(sources: Sources): string[] {
  const found: string[] = [];
  const done = new Set<string>();
  const trail: string[] = [];
  const visit = (path: string) => {
    const start = trail.indexOf(path);
    if (start !== -1) found.push([...trail.slice(start), path].join(" -> "));
    if (start !== -1 || done.has(path)) return;
    trail.push(path);
    for (const { specifier } of importsOf(sources.get(path) ?? "")) {
      if (specifier.startsWith(".")) visit(posix.join(posix.dirname(path), specifier));
    }
    trail.pop();
    done.add(path);
  };
  for (const path of sources.keys()) visit(path);
  return [...new Set(found)];
}

/** The files of a folder that load a module when they are loaded, themselves or by what they import. */
export function loadersOf(module: string, folder: string, sources: Sources): string[] {
  const known = new Map<string, boolean>([[module, true]]);
  const loads = (path: string): boolean => {
    const found = known.get(path);
    if (found !== undefined) return found;
    // There are no circles.
    const isLoader = importsOf(sources.get(path) ?? "").some(
      ({ specifier, typeOnly }) =>
        !typeOnly && specifier.startsWith(".") && loads(posix.join(posix.dirname(path), specifier)),
    );
    known.set(path, isLoader);
    return isLoader;
  };
  return [...sources.keys()].filter((path) => path.startsWith(`${folder}/`) && loads(path));
}

/** Where a pure room reads the clock, sets a timer, draws a random number or does I/O. */
export function impurities(sources: Sources): string[] {
  const problems: string[] = [];
  for (const [path, text] of sources) {
    const home = roomOf(path);
    if (home === undefined || ROOMS[home]?.pure !== true) continue;
    const code = codeOf(text);
    for (const [pattern, what] of IMPURE) {
      const at = code.search(pattern);
      if (at === -1) continue;
      const line = code.slice(0, at).split("\n").length;
      problems.push(`${path}:${line}: ${what} in a pure room: ${code.slice(at).split(/[\n;]/)[0]}`);
    }
  }
  return problems;
}

/** The room that a path lies in. */
export function roomOf(path: string): string | undefined {
  return Object.keys(ROOMS)
    .filter((folder) => path.startsWith(`${folder}/`))
    .toSorted((first, second) => second.length - first.length)[0];
}

function judgeFile(home: string, room: Room, target: string): string | undefined {
  const other = roomOf(target);
  if (other === home) return undefined;
  if (other === undefined || !room.rooms.includes(other)) {
    return `${home}/ may not import ${target}`;
  }
  const doors = DOORS[other];
  if (doors === undefined || doors.includes(target)) return undefined;
  return `${target} is no door of ${other}/ (${doors.join(", ")})`;
}

function judgePackage(room: Room, specifier: string): string | undefined {
  const allowed = room.packages.some((name) =>
    name.endsWith("*") ? specifier.startsWith(name.slice(0, -1)) : specifier === name,
  );
  if (allowed) return undefined;
  if (specifier === UNREADABLE_IMPORT) return "imports an expression, which nobody can check";
  return `may not import the package ${specifier}`;
}

/** Lines of a source file beyond which it needs a reason. */
const MAX_LINES = 300;

/**
 * Files over `limit` lines without a reason, and reasons that no file needs any more.
 * @param reasons by path, why a file is long
 */
export function longFiles(
  sources: Sources,
  reasons: Readonly<Record<string, string>>,
  limit = MAX_LINES,
): string[] {
  const problems: string[] = [];
  for (const [path, text] of sources) {
    const lines = text.split("\n").length - 1;
    const isLong = lines > limit;
    if (isLong && reasons[path] === undefined) problems.push(`${path}: ${lines} lines`);
    if (!isLong && reasons[path] !== undefined) problems.push(`${path}: is not long any more`);
  }
  for (const path of Object.keys(reasons)) {
    if (!sources.has(path)) problems.push(`${path}: there is no such file`);
  }
  return problems;
}

const TYPE_DECLARATION =
  /^(?<exported>export\s+)?(?:declare\s+|abstract\s+)*(?:interface|type|class|enum)\s+(?<name>[A-Z]\w*)/gm;

/** Names of exported types that another file declares as well: a reader would have to ask whose it is. */
export function homonyms(sources: Sources): string[] {
  const places = new Map<string, string[]>();
  const exported = new Set<string>();
  for (const [path, text] of sources) {
    for (const { groups } of codeOf(text).matchAll(TYPE_DECLARATION)) {
      const name = groups?.["name"] as string;
      const known = places.get(name) ?? [];
      // An interface that is declared twice in one file, or a type beside its class, is one name.
      if (!known.includes(path)) places.set(name, [...known, path]);
      if (groups?.["exported"] !== undefined) exported.add(name);
    }
  }
  return [...places]
    .filter(([name, paths]) => exported.has(name) && paths.length > 1)
    .map(([name, paths]) => `${name}: ${paths.join(", ")}`);
}

/**
 * Servers whose clients keep a request or a WebSocket open while they send others: with `max_inputs = 1` the others wait
 * for it for ever. An endpoint tells such a server by its preset, its command, or the Python file that it starts.
 */
import { posix, resolve } from "node:path";
import type { Disagreement } from "./disagreements.ts";
import type { EndpointTable } from "./keys.ts";
import { maxInputsOf } from "./max-inputs.ts";
import { optional } from "./optional.ts";

/** The thing that a client keeps open, by presets of `app_kind` and `affinity`. */
export const HELD_REQUESTS = {
  gradio: "a Gradio page keeps one request open for events",
  comfyui: "a ComfyUI page keeps a WebSocket open",
  mcp: "an MCP client keeps one request open for events",
  "socket.io": "a Socket.IO client keeps one request open for events",
  streamlit: "a Streamlit page keeps its WebSocket open",
  jupyter: "a Jupyter page keeps WebSockets open",
} as const;

/** @param held of `HELD_REQUESTS` */
export function needsSeveralInputs(held: string): string {
  return `needs max_inputs of more than 1, such as 100: ${held} while it sends others, which would wait for it for ever`;
}

/** A directory or a repository of that name, also within the words of a shell. */
const COMFYUI = /(?:^|[/\\\s"'])comfyui(?:$|[/\\\s"':;-])/i;

export function isComfyUi(command: readonly string[], directory: string): boolean {
  const [program = "", action] = command;
  const isLauncher = posix.basename(program) === "comfy" && action === "launch";
  return isLauncher || [directory, ...command].some((part) => COMFYUI.test(part));
}

/** Gradio's own program, which serves a file and starts it anew when that changes. */
export function isGradio([program = ""]: readonly string[]): boolean {
  return posix.basename(program) === "gradio";
}

interface EntryFile {
  /** The key that names it. */
  readonly key: "asgi" | "wsgi" | "web_server";
  /** Relative to the endpoint's directory. */
  readonly file: string;
  /** Absolute. */
  readonly path: string;
  /** The app's name in the module; undefined for a script. */
  readonly attribute?: string;
}

/**
 * Endpoints with one place whose keys do not say that they have a page: their Python file does. A file whose page
 * another endpoint serves, from several places, says nothing of the app of this one.
 * @param tables of an app
 * @param mistaken those with a mistake in their keys, by their order: they are not judged, nor are their places known
 * @param textOf of a file at an absolute path; undefined where it can't be read
 */
export function pagesByImports(
  tables: readonly EndpointTable[],
  mistaken: ReadonlySet<number>,
  appDirectory: string,
  textOf: (path: string) => string | undefined = () => undefined,
): Disagreement[] {
  const files = tables.map((table) => entryFiles(table, appDirectory));
  const mayBeSeveral = tables.map((table, index) => mistaken.has(index) || maxInputsOf(table) > 1);
  const pages = files.filter((_, index) => mayBeSeveral[index]).flat();
  return files.flatMap((own, index) => {
    if (mayBeSeveral[index]) return [];
    return own.flatMap(({ key, file, path, attribute }) => {
      const held = heldByImports(textOf(path) ?? "");
      const isElsewhere = pages.some((page) => page.path === path && page.attribute !== attribute);
      if (held === undefined || isElsewhere) return [];
      return [{ index, key, message: `${needsSeveralInputs(held)} (${file} imports it)` }];
    });
  });
}

/** The Python files of servers that an endpoint starts. A `callable` answers by itself, whatever its file imports. */
function entryFiles(
  { web_server: command = [], ...endpoint }: EndpointTable,
  appDirectory: string,
): EntryFile[] {
  const pathOf = (file: string) => resolve(appDirectory, endpoint.directory ?? "", file);
  const modules = (["asgi", "wsgi"] as const).flatMap((key) => {
    const [name, attribute] = endpoint[key]?.split(":", 2) ?? [];
    if (name === undefined) return [];
    const file = `${name.replaceAll(".", "/")}.py`;
    return [{ key, file, path: pathOf(file), ...optional("attribute", attribute) }];
  });
  const scripts = command.filter((word) => word.endsWith(".py"));
  return [
    ...modules,
    ...scripts.map((file) => ({ key: "web_server" as const, file, path: pathOf(file) })),
  ];
}

/** Says what a page of a Python file with these imports keeps open; undefined where they tell of none. */
function heldByImports(text: string): string | undefined {
  const imports = (name: string) => new RegExp(`^[ \\t]*(?:import|from)[ \\t]+${name}\\b`, "m");
  if (imports("gradio").test(text)) return HELD_REQUESTS.gradio;
  if (imports("comfy").test(text)) return HELD_REQUESTS.comfyui;
  return undefined;
}

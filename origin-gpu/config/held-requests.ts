/**
 * Servers whose clients keep a request or a WebSocket open while they send others: with `max_inputs = 1` the others wait
 * for it for ever. An endpoint tells such a server by its preset, its command, or the Python file that it starts.
 */
import { posix, resolve } from "node:path";
import type { EndpointTable } from "./keys.ts";
import { maxInputsOf } from "./max-inputs.ts";

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
}

/**
 * Problems of an endpoint with one place whose keys do not say that it has a page: its Python file does.
 * @param textOf of a file at an absolute path; undefined where it can't be read
 */
export function pagesByImports(
  endpoint: EndpointTable,
  appDirectory: string,
  textOf: (path: string) => string | undefined = () => undefined,
): { key: EntryFile["key"]; message: string }[] {
  if (maxInputsOf(endpoint) > 1) return [];
  const directory = resolve(appDirectory, endpoint.directory ?? "");
  return entryFiles(endpoint).flatMap(({ key, file }) => {
    const held = heldByImports(textOf(resolve(directory, file)) ?? "");
    if (held === undefined) return [];
    return [{ key, message: `${needsSeveralInputs(held)} (${file} imports it)` }];
  });
}

/** The Python files of servers that an endpoint starts. A `callable` answers by itself, whatever its file imports. */
function entryFiles({ web_server: command = [], ...endpoint }: EndpointTable): EntryFile[] {
  const modules = (["asgi", "wsgi"] as const).flatMap((key) => {
    const [name] = endpoint[key]?.split(":", 1) ?? [];
    return name === undefined ? [] : [{ key, file: `${name.replaceAll(".", "/")}.py` }];
  });
  const scripts = command.filter((word) => word.endsWith(".py"));
  return [...modules, ...scripts.map((file) => ({ key: "web_server" as const, file }))];
}

/** Says what a page of a Python file with these imports keeps open; undefined where they tell of none. */
function heldByImports(text: string): string | undefined {
  const imports = (name: string) => new RegExp(`^[ \\t]*(?:import|from)[ \\t]+${name}\\b`, "m");
  if (imports("gradio").test(text)) return HELD_REQUESTS.gradio;
  if (imports("comfy").test(text)) return HELD_REQUESTS.comfyui;
  return undefined;
}

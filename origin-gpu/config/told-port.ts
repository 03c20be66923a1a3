/**
 * Whether a `web_server` can know its port. Most servers are told it by the command or read the variable PORT, which
 * can't be seen from outside. Refused are those that certainly do neither: they would never be found where they listen.
 */
import { posix } from "node:path";

interface ServerKeys {
  readonly web_server?: readonly string[];
  readonly port?: number;
}

/** As the command's words are replaced. */
const PORT_REFERENCE = /\$PORT\b|\$\{PORT\}/;

/** Programs, and modules of `python -m`, that listen on a port of their own and read no variable PORT. */
const OWN_PORT: ReadonlySet<string> = new Set([
  "daphne",
  "http.server",
  "hypercorn",
  "jupyter",
  "llama-server",
  "ollama",
  "sglang",
  "streamlit",
  "uvicorn",
  "vllm",
]);

/** A port that stands in the command: `--port 8000`, `--port=8000`. */
const PORT_OPTION = /^--port(?:=\d+)?$/;

export function isNeverTold({ web_server: command, port }: ServerKeys): boolean {
  if (command === undefined || port !== undefined) return false;
  if (command.some((word) => PORT_REFERENCE.test(word))) return false;
  return command.some((word) => PORT_OPTION.test(word)) || hasOwnPort(command);
}

function hasOwnPort([program = "", option, module = ""]: readonly string[]): boolean {
  const name = posix.basename(program);
  if (OWN_PORT.has(name)) return true;
  if (!name.startsWith("python") || option !== "-m") return false;
  const [top = ""] = module.split(".");
  return OWN_PORT.has(module) || OWN_PORT.has(top);
}

/** The words of the commands that an endpoint's container is started and stopped with. */
import { fileURLToPath } from "node:url";

import type { CallableKind } from "../config/app-config.ts";
import type { EndpointConfig, EndpointKind } from "../config/config.ts";
import { CHANNEL_DESCRIPTOR } from "./launched-command.ts";

export type ProcessKind = Exclude<EndpointKind, { type: "upstream" }>;

const SERVE_PYTHON = fileURLToPath(new URL("../python/serve.py", import.meta.url));

/** @param python the interpreter of a Python app */
export function startWords(
  kind: ProcessKind,
  { exitGracePeriod, stopSignal, maxInputs }: EndpointConfig,
  { port, python }: { readonly port: number; readonly python: string },
): readonly string[] {
  if (kind.type === "web_server") return withPort(kind.command, port);
  const server = [python, SERVE_PYTHON, "--kind", kind.type, "--port", `${port}`];
  const threads = ["--threads", `${maxInputs}`];
  const web = kind.type === "callable" ? webWords(kind) : [];
  const end = ["--stop-signal", stopSignal, "--exit-grace-period", `${exitGracePeriod}`];
  const channel = ["--channel", `${CHANNEL_DESCRIPTOR}`];
  return [...server, ...threads, ...web, ...end, ...channel, kind.target];
}

function webWords({ method, docs }: CallableKind): readonly string[] {
  return [
    ...(method === undefined ? [] : ["--method", method]),
    ...(docs === undefined ? [] : [docs ? "--docs" : "--no-docs"]),
  ];
}

/** Puts the container's port in the place of `$PORT`. */
export function withPort(command: readonly string[], port: number): readonly string[] {
  return command.map((word) => word.replaceAll(/\$PORT\b|\$\{PORT\}/g, `${port}`));
}

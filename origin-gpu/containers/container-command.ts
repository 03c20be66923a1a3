/** The words of the commands that an endpoint's container is started and stopped with. */
import { fileURLToPath } from "node:url";

import type { BatchPolicy, CallableKind } from "../config/app-config.ts";
import type { EndpointConfig, EndpointKind } from "../config/config.ts";
import { tellsOfCalls } from "../config/python-kinds.ts";
import { CHANNEL_DESCRIPTOR } from "./command-descriptors.ts";

export type ProcessKind = Exclude<EndpointKind, { type: "upstream" }>;

const SERVE_PYTHON = fileURLToPath(new URL("../python/serve.py", import.meta.url));
const SERVE_MODULE = fileURLToPath(new URL("../module/serve.ts", import.meta.url));

/** Postern's own Node, whose last line about a failure is not its version. */
const NODE = [process.execPath, "--no-extra-info-on-fatal-exception"];

interface StartPlace {
  readonly port: number;
  /** Another port for calls with pickles. */
  readonly callsPort?: number | undefined;
  /** The interpreter of a Python app. */
  readonly python: string;
  /** That the agent gives the container. */
  readonly variables: Readonly<Record<string, string>>;
}

export function startWords(
  kind: ProcessKind,
  { exitGracePeriod, stopSignal, maxInputs, batch, parameters = {} }: EndpointConfig,
  { port, callsPort, python, variables }: StartPlace,
): readonly string[] {
  if (kind.type === "web_server") {
    return withVariables(kind.command, { ...variables, PORT: `${port}` });
  }
  const end = ["--stop-signal", stopSignal, "--exit-grace-period", `${exitGracePeriod}`];
  const channel = tellsOfCalls(kind) ? ["--channel", `${CHANNEL_DESCRIPTOR}`] : [];
  if (kind.type === "module") {
    return [...NODE, SERVE_MODULE, "--port", `${port}`, ...end, ...channel, "--", kind.file];
  }
  const server = [python, SERVE_PYTHON, "--kind", kind.type, "--port", `${port}`];
  const calls = callsPort === undefined ? [] : ["--calls-port", `${callsPort}`];
  const threads = ["--threads", `${maxInputs}`];
  const values = Object.entries(parameters).map(
    ([name, { type }]) => `--parameter=${name}:${type}`,
  );
  const web = kind.type === "callable" ? webWords(kind, batch) : [];
  return [...server, ...calls, ...threads, ...values, ...web, ...end, ...channel, kind.target];
}

function webWords(
  { method, docs }: CallableKind,
  batch: BatchPolicy | undefined,
): readonly string[] {
  return [
    ...(batch === undefined ? [] : ["--batch", `${batch.maxBatchSize}:${batch.waitMs}`]),
    ...(method === undefined ? [] : ["--method", method]),
    ...(docs === undefined ? [] : [docs ? "--docs" : "--no-docs"]),
  ];
}

/** The variables that stand for their values in commands. */
const REFERENCE =
  /\$(?:(PORT|POSTERN_WEB_URL|POSTERN_WEB_HOST)\b|\{(PORT|POSTERN_WEB_URL|POSTERN_WEB_HOST)\})/g;

/** Puts the values of a container's variables in the place of `$PORT`, `$POSTERN_WEB_URL` and `$POSTERN_WEB_HOST`. */
export function withVariables(
  command: readonly string[],
  variables: Readonly<Record<string, string>>,
): readonly string[] {
  const valueOf = (reference: string, bare?: string, braced?: string): string =>
    variables[bare ?? braced ?? ""] ?? reference;
  return command.map((word) => word.replaceAll(REFERENCE, valueOf));
}

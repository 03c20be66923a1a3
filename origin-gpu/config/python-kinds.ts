/** Which kinds of endpoint run in the endpoint's Python. */
import type { EndpointConfig, EndpointKind, PythonKind } from "./app-config.ts";

const PYTHON_KINDS: ReadonlySet<EndpointKind["type"]> = new Set([
  "asgi",
  "wsgi",
  "callable",
  "python_function",
]);

export function isPythonKind(kind: EndpointKind): kind is PythonKind {
  return PYTHON_KINDS.has(kind.type);
}

/** The port that a kind's server always takes, where it can't be told one. */
export function fixedPortOf(kind: EndpointKind): number | undefined {
  return kind.type === "web_server" || kind.type === "python_function" ? kind.port : undefined;
}

/**
 * Whether the endpoint's calls go to a port of the container's own: pickles for the methods of a class, whose web server
 * has the fixed port.
 */
export function hasCallsPort({
  kind,
  requiresAppToken,
}: Pick<EndpointConfig, "kind" | "requiresAppToken">): boolean {
  return requiresAppToken && kind.type === "python_function" && kind.port !== undefined;
}

/** Whether the container's server tells the agent when it no longer works on a call that was given up. */
export function tellsOfCalls(kind: EndpointKind): boolean {
  return kind.type === "module" || isPythonKind(kind);
}

/** Which kinds of endpoint run in the endpoint's Python. */
import type { EndpointKind, PythonKind } from "./app-config.ts";

export function isPythonKind(kind: EndpointKind): kind is PythonKind {
  return kind.type === "asgi" || kind.type === "wsgi" || kind.type === "callable";
}

/**
 * A server as Jupyter's is without allow_remote_access: it takes local Hosts alone, and pages of its own. A kernel is known
 * to the server that has started it. A file is shown to its own pages alone.
 */
import { randomUUID } from "node:crypto";

import { hasLocalHost, isOfOwnPage, reply, serve, serveSockets } from "./stand-in.ts";

const TOKEN = "2|token";

const kernels = new Set<string>();

const server = serve((request, response, { pathname }) => {
  const { host, referer = "" } = request.headers;
  if (!hasLocalHost(request)) {
    reply(response, 403, { message: "Forbidden" });
    return;
  }
  const [, room, kind, id = ""] = pathname.split("/");
  switch (`${request.method} /${room}/${kind ?? ""}`) {
    case "GET /lab/":
      response.setHeader("set-cookie", `_xsrf=${TOKEN}; Path=/`).end("<title>JupyterLab</title>");
      return;
    case "GET /api/":
      reply(response, 200, { version: "0.0.0" });
      return;
    case "POST /api/kernels": {
      const isOwn = isOfOwnPage(request) && request.headers["x-xsrftoken"] === TOKEN;
      const kernel = randomUUID();
      if (isOwn) kernels.add(kernel);
      reply(response, isOwn ? 201 : 404, { id: kernel, name: "python3" });
      return;
    }
    case "GET /api/kernels":
      reply(response, kernels.has(id) ? 200 : 404, { id });
      return;
    case "GET /files/note.txt":
      response.writeHead(URL.parse(referer)?.host === host ? 200 : 403).end("a note");
      return;
    default:
      reply(response, 404);
  }
});

serveSockets(
  server,
  (request, { pathname }) =>
    hasLocalHost(request) && isOfOwnPage(request) && kernels.has(pathname.split("/")[3] ?? ""),
  () => undefined,
);

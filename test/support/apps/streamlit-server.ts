/**
 * A server as Streamlit is. A session begins with a WebSocket of one of its own pages, and is named there; it takes uploads
 * of its own sessions alone, with a token that is in a cookie and in a header.
 */
import { randomUUID } from "node:crypto";

import { isOfOwnPage, reply, send, serve, serveSockets } from "./stand-in.ts";

const TOKEN = "2|token";
/** The field of a session's id in the first message, and its length. */
const ID_HEAD = Buffer.from([0x32, 36]);

const sessions = new Set<string>();

const server = serve((request, response, { pathname }) => {
  const [, , room = "", session = ""] = pathname.split("/");
  switch (`${request.method} /${room}`) {
    case "GET /":
      response.end("<title>Streamlit</title>");
      return;
    case "GET /health":
      response.setHeader("set-cookie", `_streamlit_xsrf=${TOKEN}; Path=/; SameSite=Lax`).end("ok");
      return;
    case "PUT /upload_file":
      if (request.headers["x-xsrftoken"] !== TOKEN) response.writeHead(403).end();
      else response.writeHead(sessions.has(session) ? 204 : 400).end();
      return;
    default:
      reply(response, 404);
  }
});

serveSockets(
  server,
  isOfOwnPage,
  (socket) => {
    const session = randomUUID();
    sessions.add(session);
    socket.on("close", () => sessions.delete(session));
    socket.on("message", () => send(socket, Buffer.concat([ID_HEAD, Buffer.from(session)])));
  },
  () => "streamlit",
);

/**
 * A server as ComfyUI is. It tells the WebSocket of a client what comes of its prompts, with a preview as one large message,
 * and keeps their results in its memory. It refuses what a browser sends for a page of another site.
 */
import { json } from "node:stream/consumers";
import type { WebSocket } from "ws";

import { hasLocalHost, isOfOwnPage, reply, send, serve, serveSockets } from "./stand-in.ts";

interface Prompt {
  readonly client_id: string;
}

const PREVIEW_BYTES = 8 * 1024 * 1024;
/** A preview, of a JPEG. */
const PREVIEW_HEAD = [0, 0, 0, 1, 0, 0, 0, 1];

const sockets = new Map<string, WebSocket>();
const history = new Map<string, unknown>();

const server = serve(async (request, response, { pathname }) => {
  const isForeign = hasLocalHost(request) && !isOfOwnPage(request);
  if (isForeign || request.headers["sec-fetch-site"] === "cross-site") {
    response.writeHead(403).end();
    return;
  }
  const [, room, id = ""] = pathname.split("/");
  switch (`${request.method} /${room}`) {
    case "GET /":
      response.writeHead(200, { "content-type": "text/html" }).end("<title>ComfyUI</title>");
      return;
    case "GET /system_stats":
      reply(response, 200, { system: {}, devices: [] });
      return;
    case "GET /queue":
      reply(response, 200, { queue_running: [], queue_pending: [] });
      return;
    case "GET /history":
      reply(response, 200, { [id]: history.get(id) });
      return;
    case "POST /prompt": {
      const { client_id: client } = (await json(request)) as Prompt;
      const prompt = `prompt-${history.size}`;
      history.set(prompt, { status: { completed: true } });
      reply(response, 200, { prompt_id: prompt, number: 0, node_errors: {} });
      tell(sockets.get(client), prompt);
      return;
    }
    default:
      reply(response, 404);
  }
});

function tell(socket: WebSocket | undefined, prompt: string): void {
  if (socket === undefined) return;
  send(socket, JSON.stringify({ type: "execution_start", data: { prompt_id: prompt } }));
  const preview = Buffer.alloc(PREVIEW_BYTES);
  preview.set(PREVIEW_HEAD);
  send(socket, preview);
  send(socket, JSON.stringify({ type: "executed", data: { prompt_id: prompt } }));
}

serveSockets(
  server,
  (_request, { pathname }) => pathname === "/ws",
  (socket, _request, { searchParams }) => {
    sockets.set(searchParams.get("clientId") ?? "", socket);
    send(socket, JSON.stringify({ type: "status", data: {} }));
  },
);

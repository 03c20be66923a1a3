/** Calls another function of its own app by POSTERN_URLS with Node's fetch and WebSocket, as Node apps do. */
import { createServer } from "node:http";

const { POSTERN_URLS = "{}", POSTERN_APP_TOKEN: token, PORT } = process.env;
const { chat = "" } = JSON.parse(POSTERN_URLS) as Record<string, string>;
const headers = { authorization: `Bearer ${token}` };

async function byWebSocket(): Promise<string> {
  const socket = new WebSocket(`${chat.replace("http", "ws")}/ws`, { headers });
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  socket.addEventListener("open", () => resolve("open"));
  socket.addEventListener("error", () => reject(new Error("refused")));
  return await promise.finally(() => socket.close());
}

createServer((_request, response) => {
  void (async () => {
    const { status } = await fetch(`${chat}/health`, { headers });
    response.end(JSON.stringify({ fetch: status, websocket: await byWebSocket() }));
  })().catch((error: unknown) => response.writeHead(500).end(String(error)));
}).listen(Number(PORT), "127.0.0.1");

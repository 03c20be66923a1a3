/** Server-sent events, one by one, and a body that is sent back while it comes. */
import { setTimeout } from "node:timers/promises";
import type { Application, HttpScope, Receive, Send } from "postern/asgi";

const PAUSE_MS = 500;

const app: Application = async (scope, receive, send) => {
  // Without a lifespan, and without WebSockets.
  if (scope.type !== "http") throw new Error(`${scope.type} is not served`);
  if (scope.path === "/") await count(scope, send);
  else if (scope.path === "/shout") await shout(receive, send);
  else {
    await send({ type: "http.response.start", status: 404 });
    await send({ type: "http.response.body", body: "no such path\n" });
  }
};

async function count({ query_string: query }: HttpScope, send: Send): Promise<void> {
  const to = Number(new URLSearchParams(query).get("to") ?? 10);
  const headers = [["content-type", "text/event-stream"]] as const;
  await send({ type: "http.response.start", status: 200, headers });
  for (let number = 1; number <= to; number += 1) {
    // Throws when the client has left, which ends the app's work.
    await send({ type: "http.response.body", body: `data: ${number}\n\n`, more_body: true });
    await setTimeout(PAUSE_MS);
  }
  await send({ type: "http.response.body" });
}

async function shout(receive: Receive, send: Send): Promise<void> {
  await send({ type: "http.response.start", status: 200 });
  const decoder = new TextDecoder();
  for (;;) {
    const event = await receive();
    if (event.type !== "http.request") return;
    const text = decoder.decode(event.body, { stream: event.more_body });
    const { more_body } = event;
    await send({ type: "http.response.body", body: text.toUpperCase(), more_body });
    if (!more_body) return;
  }
}

export default app;

/**
 * A server as vLLM is in its development mode: callers may put it to sleep and run code in it. It answers 503 until its
 * model is loaded, which takes three questions at its health path, and for ever once its engine is dead.
 */
import { json } from "node:stream/consumers";

import { reply, serve } from "./stand-in.ts";

interface Chat {
  readonly messages: readonly { readonly content: string }[];
}

const LOADED_AFTER = 3;

let asked = 0;
let isDead = false;

serve(async (request, response, { pathname }) => {
  if (pathname === "/health") asked += 1;
  if (asked < LOADED_AFTER || isDead) {
    response.writeHead(503).end();
    return;
  }
  switch (`${request.method} ${pathname}`) {
    case "GET /health":
      response.writeHead(200).end();
      return;
    case "GET /v1/models":
      reply(response, 200, { object: "list", data: [{ id: "toy", object: "model" }] });
      return;
    case "POST /v1/chat/completions": {
      const { messages } = (await json(request)) as Chat;
      isDead = messages.at(-1)?.content === "crash";
      const choices = [{ index: 0, message: { role: "assistant", content: "yes" } }];
      reply(response, isDead ? 500 : 200, { object: "chat.completion", choices });
      return;
    }
    case "POST /sleep":
    case "POST /wake_up":
    case "POST /collective_rpc":
    case "GET /metrics":
      reply(response, 200, "done");
      return;
    default:
      reply(response, 404);
  }
});

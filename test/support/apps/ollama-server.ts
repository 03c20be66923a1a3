/**
 * A server as Ollama is on a loopback address: it takes local Hosts and local pages alone. It has one model. A prompt is
 * answered in two lines of JSON, the second when another prompt has come. A caller may delete the model.
 */
import type { ServerResponse } from "node:http";

import { hasLocalHost, isOfOwnPage, reply, serve } from "./stand-in.ts";

let models = [{ name: "toy" }];
/** Of the prompt that is worked on. */
let finish: (() => void) | undefined;

serve(async (request, response, { pathname }) => {
  if (!hasLocalHost(request) || !isOfOwnPage(request)) {
    response.writeHead(403).end();
    return;
  }
  switch (`${request.method} ${pathname}`) {
    case "GET /api/version":
      reply(response, 200, { version: "0.0.0" });
      return;
    case "GET /api/tags":
      reply(response, 200, { models });
      return;
    case "DELETE /api/delete":
      models = [];
      reply(response, 200);
      return;
    case "POST /api/generate":
      response.writeHead(200, { "content-type": "application/x-ndjson" });
      response.write(`${JSON.stringify({ response: "one", done: false })}\n`);
      await withAnother(response);
      response.end(`${JSON.stringify({ response: " two", done: true })}\n`);
      return;
    default:
      reply(response, 404);
  }
});

/** Resolves for two prompts, as soon as both are there. */
async function withAnother(response: ServerResponse): Promise<void> {
  if (finish !== undefined) {
    finish();
    return;
  }
  const { promise, resolve } = Promise.withResolvers<void>();
  finish = resolve;
  response.once("close", resolve);
  await promise;
  finish = undefined;
}

/**
 * A server for slow work, on $PORT, that goes no further than a test lets it: at each stage of a request
 * it tells the test's stage keeper (test/support/stages.ts, at $STAGES) where it is, and waits for leave.
 * The query names the work (`key`) and may make it slow by itself (`seconds`).
 */
import { once } from "node:events";
import { type IncomingMessage, type ServerResponse, createServer } from "node:http";
import { setTimeout as delay } from "node:timers/promises";

import { DOWNLOAD_BLOCK_BYTES, type Stage, answerOf, downloadBlock } from "../stages.ts";

const EVENT_INTERVAL_MS = 5;

const KEEPER = process.env["STAGES"] ?? "";

async function work(request: IncomingMessage, response: ServerResponse, url: URL): Promise<void> {
  const key = url.searchParams.get("key") ?? "";
  const gone = new AbortController();
  response.once("close", () => gone.abort());
  const reach = async (stage: Stage, bytes = 0): Promise<void> => {
    const query = new URLSearchParams({ key, stage, bytes: `${bytes}` });
    await fetch(`${KEEPER}/?${query.toString()}`, { method: "POST", signal: gone.signal });
  };
  let bytes = 0;
  for await (const chunk of request) {
    if (bytes === 0) await reach("receiving");
    bytes += (chunk as Buffer).length;
  }
  await reach("running", bytes);
  const seconds = Number(url.searchParams.get("seconds") ?? 0);
  if (seconds > 0) await delay(seconds * 1000, undefined, { signal: gone.signal });
  if (url.pathname.endsWith("/chat/completions")) {
    response.writeHead(200, { "content-type": "application/json" }).end(completion(key));
    return;
  }
  const answer = answerOf(key);
  response.writeHead(200, { "content-type": "text/plain", "content-length": answer.length });
  response.flushHeaders();
  await reach("answering");
  response.write(answer.slice(0, answer.length / 2));
  await reach("streaming");
  response.end(answer.slice(answer.length / 2));
}

/** As many bytes as the query says, as fast as they are taken. */
async function download(response: ServerResponse, url: URL): Promise<void> {
  const size = Number(url.searchParams.get("size"));
  response.writeHead(200, { "content-length": size });
  for (let start = 0; start < size && !response.destroyed; start += DOWNLOAD_BLOCK_BYTES) {
    if (!response.write(downloadBlock(start, size))) {
      await Promise.race([once(response, "drain"), once(response, "close")]);
    }
  }
  response.end();
}

async function events(response: ServerResponse, url: URL): Promise<void> {
  const count = Number(url.searchParams.get("count"));
  response.writeHead(200, { "content-type": "text/event-stream" });
  response.flushHeaders();
  for (let number = 0; number < count && !response.destroyed; number += 1) {
    response.write(`data: ${number}\n\n`);
    await delay(EVENT_INTERVAL_MS);
  }
  response.end();
}

/** An answer of the OpenAI API. */
function completion(content: string): string {
  return JSON.stringify({
    id: "chatcmpl-1",
    object: "chat.completion",
    created: 0,
    model: "slow",
    choices: [{ index: 0, message: { role: "assistant", content }, finish_reason: "stop" }],
    usage: { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 },
  });
}

const server = createServer((request, response) => {
  const url = new URL(request.url ?? "/", "http://app.invalid");
  const answered =
    url.pathname === "/download"
      ? download(response, url)
      : url.pathname === "/events"
        ? events(response, url)
        : work(request, response, url);
  // A client that leaves breaks its own request and nothing else.
  answered.catch(() => response.destroy());
});
process.once("SIGTERM", () => {
  server.close(() => process.exit(0));
  server.closeAllConnections();
});
server.listen(Number(process.env["PORT"]), "127.0.0.1");

/** A toy of an LLM server with a prefix cache: says whether it has seen the beginning of a conversation. */
import { createServer } from "node:http";
import { json } from "node:stream/consumers";

/** How many conversations a container's memory has room for. */
const CACHED = 40;

const cache = new Set<string>();

createServer((request, response) => {
  void (async () => {
    const { messages } = (await json(request)) as { messages: readonly unknown[] };
    // All but the question that is new.
    const prefix = JSON.stringify(messages.slice(0, -1));
    const isCached = cache.has(prefix);
    cache.delete(prefix);
    cache.add(JSON.stringify([...messages, { role: "assistant", content: "yes" }]));
    for (const oldest of cache) if (cache.size > CACHED) cache.delete(oldest);
    response.setHeader("content-type", "application/json").end(JSON.stringify({ isCached }));
  })();
}).listen(Number(process.env["PORT"]), "127.0.0.1");

/**
 * A Worker and an object that pass calls by memory as the gateway does, and that use something of
 * their own request context after each wait: the runtime refuses that in any other one. For
 * test/e2e/local-queue.test.ts.
 */
import { DurableObject } from "cloudflare:workers";
import { LocalQueue, localQueueOf } from "../../gateway/contracts/local-queue.ts";

const LINK = "tests";
const decoder = new TextDecoder();

interface Env {
  OBJECT: DurableObjectNamespace<Answerer>;
}

export default {
  async fetch(request, env): Promise<Response> {
    const id = request.headers.get("x-id") ?? "";
    const queue = localQueueOf(LINK);
    if (queue === undefined)
      return await env.OBJECT.get(env.OBJECT.idFromName(LINK)).fetch(request);
    const outcome = await queue.put(id, id, new Uint8Array(0), "");
    // Reading the body needs the context of this request.
    const sent = await request.text();
    const isWhole = typeof outcome === "object" && outcome.kind === "response";
    if (!isWhole || !(outcome.body instanceof Uint8Array)) {
      const what = typeof outcome === "string" ? outcome : outcome.kind;
      return new Response(what, { status: 503 });
    }
    const answer = decoder.decode(outcome.body);
    const right = answer === id && sent === id && outcome.head === id;
    return new Response(right ? answer : `${answer} for ${id}`, { status: right ? 200 : 500 });
  },
} satisfies ExportedHandler<Env>;

export class Answerer extends DurableObject<Env> {
  #queue: LocalQueue | undefined;
  #own: WebSocket | undefined;

  override fetch(): Response {
    if (this.#queue === undefined) {
      const { 0: theirs, 1: ours } = new WebSocketPair();
      theirs.accept();
      ours.accept();
      this.#own = ours;
      this.#queue = new LocalQueue(LINK);
      this.ctx.waitUntil(this.#answerAll(this.#queue));
    }
    this.#queue.publish();
    return new Response("not opened", { status: 503 });
  }

  async #answerAll(queue: LocalQueue): Promise<never> {
    const encoder = new TextEncoder();
    for (;;) {
      const calls = await queue.next();
      // A message on a socket of the object's own needs the object's context.
      this.#own?.send("taken");
      // As the app's answer does, it comes in another turn than the call.
      setTimeout(() => {
        for (const call of calls) {
          if (!call.open()) continue;
          const body = encoder.encode(call.callId);
          call.settle({ kind: "response", head: call.head, body, resumable: false });
        }
      });
    }
  }
}

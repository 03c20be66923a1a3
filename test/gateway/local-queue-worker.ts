/**
 * A Worker and an object that hand calls over by memory as the gateway does, and that use something of
 * their own request context after each wait: the runtime refuses that in any other one. For
 * test/e2e/local-queue.test.ts.
 */
import { DurableObject } from "cloudflare:workers";
import { Desk, deskOf } from "../../gateway/contracts/local-queue.ts";

const LINK = "tests";
const decoder = new TextDecoder();

interface Env {
  OBJECT: DurableObjectNamespace<Answerer>;
}

export default {
  async fetch(request, env): Promise<Response> {
    const id = request.headers.get("x-id") ?? "";
    const desk = deskOf(LINK);
    if (desk === undefined) return await env.OBJECT.get(env.OBJECT.idFromName(LINK)).fetch(request);
    const outcome = await desk.handOver(id, id, new Uint8Array(0));
    // Reading the body needs the context of this request.
    const sent = await request.text();
    if (outcome.kind !== "answered") return new Response(outcome.kind, { status: 503 });
    const answer = decoder.decode(outcome.body);
    const right = answer === id && sent === id && outcome.head === id;
    return new Response(right ? answer : `${answer} for ${id}`, { status: right ? 200 : 500 });
  },
} satisfies ExportedHandler<Env>;

export class Answerer extends DurableObject<Env> {
  #desk: Desk | undefined;
  #own: WebSocket | undefined;

  override fetch(): Response {
    if (this.#desk === undefined) {
      const { 0: theirs, 1: ours } = new WebSocketPair();
      theirs.accept();
      ours.accept();
      this.#own = ours;
      this.#desk = new Desk(LINK);
      this.ctx.waitUntil(this.#answerAll(this.#desk));
    }
    this.#desk.offer();
    return new Response("not begun", { status: 503 });
  }

  async #answerAll(desk: Desk): Promise<never> {
    const encoder = new TextEncoder();
    for (;;) {
      const calls = await desk.next();
      // A message on a socket of the object's own needs the object's context.
      this.#own?.send("taken");
      // As the app's answer does, it comes in another turn than the call.
      setTimeout(() => {
        for (const call of calls) {
          if (!call.begin()) continue;
          call.settle({ kind: "answered", head: call.head, body: encoder.encode(call.id) });
        }
      });
    }
  }
}

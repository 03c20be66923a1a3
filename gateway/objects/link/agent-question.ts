/** A question of the object itself to the agent of its link: an operation whose answer is whole in one frame. */
import { askLink } from "../../contracts/ask-link.ts";
import type { Env } from "../../contracts/env.ts";
import { HEAD, VERB } from "../../contracts/link.ts";
import type { LinkIdentity } from "./link-connection.ts";
import type { Stream, StreamEnding, StreamEvents } from "../../../routing/wire/multiplexer.ts";

/** The agent answers from memory. */
const TIMEOUT_MS = 5_000;

/** The JSON of the value, or of the failure; undefined where no answer came. */
export type AgentAnswer =
  | { readonly kind: "value"; readonly text: string }
  | { readonly kind: "refused"; readonly failure: string }
  | undefined;

export class AgentQuestion implements StreamEvents {
  readonly #answer = Promise.withResolvers<AgentAnswer>();
  readonly #timer = setTimeout(() => this.#settle(undefined), TIMEOUT_MS);
  #stream: Stream | undefined;

  get answer(): Promise<AgentAnswer> {
    return this.#answer.promise;
  }

  /** @param stream undefined where the link has all the streams that it may have */
  start(stream: Stream | undefined): void {
    this.#stream = stream;
    if (stream === undefined) this.#settle(undefined);
  }

  onHead(_head: string, body: Uint8Array, end: boolean): void {
    this.#stream?.consume(body.length);
    const text = new TextDecoder().decode(body);
    if (end) this.#stream?.finish();
    this.#settle(end ? { kind: "value", text } : undefined);
  }

  onData(): void {
    // Cancelled with the head: an answer in several frames is none of ours.
  }

  onEnd(ending: StreamEnding): void {
    this.#settle(
      ending.kind === "refused" ? { kind: "refused", failure: ending.failure } : undefined,
    );
  }

  #settle(answer: AgentAnswer): void {
    clearTimeout(this.#timer);
    this.#answer.resolve(answer);
    this.#stream?.cancel();
  }
}

/** Asks over the box's other links, the next one first. */
export async function askOverOthers(
  env: Env,
  { workspace, box, link, links }: LinkIdentity,
  head: string,
): Promise<AgentAnswer> {
  for (let next = 1; next < links; next += 1) {
    const attempt = await askLink(env, { workspace, box }, (link + next) % links, VERB.open, {
      method: "POST",
      headers: { [HEAD]: head },
    });
    if (attempt.kind === "response") {
      return { kind: "value", text: await new Response(attempt.body).text() };
    }
    if (attempt.kind === "failed" && attempt.cause === "refused") {
      return { kind: "refused", failure: JSON.stringify(attempt.failure) };
    }
  }
  return undefined;
}

/** The lines of a response that may never end, read no faster than they are wanted. */
import type { IncomingMessage } from "node:http";
import { StringDecoder } from "node:string_decoder";

/**
 * Yields the lines as they come, without their ends.
 * @param silenceMs the response breaks where it is waited for and brings nothing for so long
 */
export async function* responseLines(
  response: IncomingMessage,
  silenceMs: number,
): AsyncGenerator<string> {
  const decoder = new StringDecoder("utf8");
  let rest = "";
  const chunks = response[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  try {
    for (;;) {
      const { value, done } = await withinSilence(response, silenceMs, chunks.next());
      if (done === true) return;
      const lines = (rest + decoder.write(value)).split("\n");
      rest = lines.pop() ?? "";
      yield* lines;
    }
  } finally {
    response.destroy();
  }
}

async function withinSilence<Value>(
  response: IncomingMessage,
  silenceMs: number,
  next: Promise<Value>,
): Promise<Value> {
  const seconds = silenceMs / 1_000;
  const timer = setTimeout(
    () => response.destroy(new Error(`nothing came for ${seconds} s`)),
    silenceMs,
  );
  try {
    return await next;
  } finally {
    clearTimeout(timer);
  }
}

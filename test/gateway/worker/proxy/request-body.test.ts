/** The bodies of clients' requests: which are read whole before their call is opened, and for how long. */
import { expect, test } from "vitest";

import { requestBody } from "../../../../gateway/worker/proxy/request-body.ts";
import { INITIAL_WINDOW_BYTES } from "../../../../routing/wire/limits.ts";

const PATIENCE_MS = 50;

/** A POST that declares so many bytes, has sent one of them, and sends no more. */
function stalled(declared: number): Request {
  const body = new ReadableStream<Uint8Array>({
    start: (controller) => controller.enqueue(new Uint8Array(1)),
  });
  const headers = { "content-length": `${declared}` };
  return new Request("http://localhost/", { method: "POST", headers, body });
}

test("a short body that stops is given up after its time", async () => {
  for (const declared of [2, INITIAL_WINDOW_BYTES]) {
    await expect(requestBody(stalled(declared), PATIENCE_MS)).rejects.toThrow("the body is late");
  }
});

test("a longer body is not waited for: it streams", async () => {
  const body = await requestBody(stalled(INITIAL_WINDOW_BYTES + 1), PATIENCE_MS);
  expect(body).toBeInstanceOf(ReadableStream);
});

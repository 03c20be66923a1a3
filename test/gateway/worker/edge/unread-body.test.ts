/** A refused request's body: how much of it is read, for how many clients, and for how long. */
import { afterEach, expect, test, vi } from "vitest";
import { afterUnreadBody } from "../../../../gateway/worker/edge/unread-body.ts";

afterEach(() => vi.restoreAllMocks());

/** A body that brings a byte with each read once it is let go, and ends when its client has sent all. */
function upload({ onRead }: { readonly onRead?: () => void } = {}) {
  const goesOn = Promise.withResolvers<void>();
  const cancelled = Promise.withResolvers<void>();
  const state = { reads: 0, isWhole: false };
  const body = new ReadableStream({
    type: "bytes",
    async pull(controller) {
      state.reads += 1;
      onRead?.();
      await goesOn.promise;
      if (state.isWhole) {
        controller.close();
        controller.byobRequest?.respond(0);
      } else controller.enqueue(new Uint8Array(1));
    },
    cancel: () => cancelled.resolve(),
  });
  return {
    body,
    state,
    cancelled: cancelled.promise,
    goOn: () => goesOn.resolve(),
    end: () => {
      state.isWhole = true;
      goesOn.resolve();
    },
  };
}

/** Refuses a request of a client; `text` settles when the response has ended. */
async function refuse({ body }: ReturnType<typeof upload>, address?: string) {
  const { signal } = new AbortController();
  const client = { address, signal };
  const response = await afterUnreadBody(body, new Response("no", { status: 429 }), client);
  expect(response.status).toBe(429);
  return { text: response.text() };
}

test("the end of a refusal waits for the body's end", async () => {
  const sent = upload();
  const { text } = await refuse(sent, "192.0.2.1");
  let hasEnded = false;
  void text.then(() => (hasEnded = true));
  await vi.waitFor(() => expect(sent.state.reads).toBe(1));
  expect(hasEnded).toBe(false);
  sent.end();
  expect(await text).toBe("no");
});

test("a body that goes on and on is read for a minute", async () => {
  let now = 1_000_000;
  vi.spyOn(Date, "now").mockImplementation(() => now);
  const endless = upload({ onRead: () => (now += 1_000) });
  endless.goOn();
  const { text } = await refuse(endless, "192.0.2.2");
  expect(await text).toBe("no");
  await endless.cancelled;
  expect(endless.state.reads).toBe(60);
});

test("64 bodies of one network are read at a time, and 256 of all; another is not read", async () => {
  const begin = async (address: string, count: number) => {
    const sent = Array.from({ length: count }, () => upload());
    const texts: Promise<string>[] = [];
    for (const one of sent) texts.push((await refuse(one, address)).text);
    return { sent, texts };
  };
  const areRead = async (sent: readonly ReturnType<typeof upload>[]) => {
    await vi.waitFor(() => expect(sent.every(({ state }) => state.reads === 1)).toBe(true));
  };
  const networks = [];
  for (let index = 1; index <= 4; index += 1) {
    const address = `198.51.${100 + index}.1`;
    const reading = await begin(address, 64);
    await areRead(reading.sent);
    const beyond = upload();
    expect(await (await refuse(beyond, address)).text).toBe("no");
    expect(beyond.state.reads).toBe(0);
    networks.push(reading);
  }
  const stranger = upload();
  expect(await (await refuse(stranger, "203.0.113.1")).text).toBe("no");
  await stranger.cancelled;
  expect(stranger.state.reads).toBe(0);
  // There is room again when one has ended.
  const [first] = networks;
  first?.sent[0]?.end();
  expect(await first?.texts[0]).toBe("no");
  const next = await begin("198.51.101.1", 1);
  await areRead(next.sent);
  for (const { sent } of [...networks, next]) for (const one of sent) one.end();
  await Promise.all([...networks, next].flatMap(({ texts }) => texts));
});

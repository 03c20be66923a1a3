import { PassThrough } from "node:stream";
import { expect, test } from "vitest";
import {
  type OpenedTunnel,
  tunnelLines,
} from "../../../origin-gpu/containers/container-tunnels.ts";

/** A container that asks, and an agent whose tunnels open when the test says so. */
function container({ opens = true } = {}) {
  const writes = new PassThrough();
  const { promise: ended, resolve: end } = Promise.withResolvers<void>();
  const asked: { port: number; opening: PromiseWithResolvers<OpenedTunnel> }[] = [];
  const closed: string[] = [];
  const open = async (port: number): Promise<OpenedTunnel> => {
    const opening = Promise.withResolvers<OpenedTunnel>();
    asked.push({ port, opening });
    return await opening.promise;
  };
  const close = (url: string) => async (): Promise<void> => void closed.push(url);
  return {
    say: tunnelLines(writes, opens ? open : undefined, ended),
    end,
    asked,
    closed,
    isOpened: (index: number, url: string) =>
      asked[index]?.opening.resolve({ url, close: close(url) }),
    said: async () => {
      await new Promise(setImmediate);
      return String(writes.read() ?? "");
    },
  };
}

test("a tunnel is answered under its number, and closed once", async () => {
  const { say, asked, isOpened, said, closed } = container();
  say("forward 7 8000");
  say("forward 8 9000");
  expect(asked.map(({ port }) => port)).toEqual([8000, 9000]);
  isOpened(1, "http://other");
  expect(await said()).toBe('forwarded 8 {"url":"http://other"}\n');
  isOpened(0, "http://one");
  expect(await said()).toBe('forwarded 7 {"url":"http://one"}\n');
  say("close 7");
  say("close 7");
  await said();
  expect(closed).toEqual(["http://one"]);
});

test("a refusal is told in words, and its number is free again", async () => {
  const { say, asked, said } = container();
  say("forward 1 8000");
  asked[0]?.opening.reject(new Error("there are too many"));
  expect(await said()).toBe('forwarded 1 {"error":"there are too many"}\n');
  say("forward 1 8000");
  expect(asked).toHaveLength(2);
  const without = container({ opens: false });
  without.say("forward 1 8000");
  expect(await without.said()).toBe('forwarded 1 {"error":"this agent forwards no ports"}\n');
});

test("the end of the container closes its tunnels, one that opens later too", async () => {
  const { say, isOpened, said, end, closed } = container();
  say("forward 1 8000");
  say("forward 2 8000");
  isOpened(0, "http://one");
  await said();
  end();
  await said();
  expect(closed).toEqual(["http://one"]);
  isOpened(1, "http://late");
  await said();
  expect(closed).toEqual(["http://one", "http://late"]);
});

test.each(["forward 1", "forward -1 80", "forward 1 800000", "close", "c-1", "forward 1 80 x"])(
  "%j is passed over",
  async (line) => {
    const { say, asked, said } = container();
    say(line);
    expect([asked.length, await said()]).toEqual([0, ""]);
  },
);

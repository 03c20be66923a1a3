/** The gateway's end of a link writes its frames where the topic `link` is on. */
import { env as bindings, evictDurableObject } from "cloudflare:test";
import { afterEach, expect, test, vi } from "vitest";
import type { Env } from "../../../../gateway/contracts/env.ts";
import { originStub } from "../../../../gateway/contracts/stubs.ts";
import { announcement, ask, connectAgent } from "../../fake-agent.ts";

const OF_LINK = "link.frame workspace=local box=tapped link=0 direction=";

// Before any object asks for its observer: each environment has one.
const env = bindings as unknown as Env;
env.POSTERN_DEBUG = "link";

afterEach(() => {
  vi.restoreAllMocks();
});

/** The frames that were written since, without their numbers. */
function watchFrames(): () => string[] {
  const written = vi.spyOn(console, "log").mockReturnValue();
  return () =>
    written.mock.calls
      .map(([line]) => String(line))
      .filter((line) => line.startsWith(OF_LINK))
      .map((line) => line.slice(OF_LINK.length).replace(/ stream=\d+ bytes=\d+$/, ""));
}

test("each frame of a link is a line, in both directions and after hibernation", async () => {
  const frames = watchFrames();
  await connectAgent("tapped", {
    endpoints: [announcement("tapped", "web")],
    open: (stream) => {
      stream.sendHead(JSON.stringify({ status: 200, headers: [] }), [], true);
      return {};
    },
  });
  expect(frames()).toEqual(["in type=HELLO", "out type=WELCOME"]);

  await evictDurableObject(originStub(env, "local", "tapped", 0));
  await (await ask("local--tapped-web")).text();
  expect(frames().slice(2)).toEqual(["out type=OPEN", "in type=HEAD"]);
});

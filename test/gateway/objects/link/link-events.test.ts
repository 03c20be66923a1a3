/** The gateway's end of a link writes its frames and its changes of state where the topic `link` is on. */
import { env as bindings, evictDurableObject } from "cloudflare:test";
import { afterEach, expect, test, vi } from "vitest";
import type { Env } from "../../../../gateway/contracts/env.ts";
import { originStub } from "../../../../gateway/contracts/stubs.ts";
import { announcement, ask, connectAgent } from "../../fake-agent.ts";

const OF_LINK = "workspace=local box=tapped link=0";

// Before any object asks for its observer: each environment has one.
const env = bindings as unknown as Env;
env.POSTERN_DEBUG = "link";

afterEach(() => {
  vi.restoreAllMocks();
});

/** The lines of the link that were written since, without what they have in common and without numbers. */
function watch(): () => string[] {
  const written = vi.spyOn(console, "log").mockReturnValue();
  return () =>
    written.mock.calls
      .map(([line]) => String(line))
      .filter((line) => line.startsWith("link.") && line.includes(OF_LINK))
      .map((line) => line.replace(` ${OF_LINK}`, "").replace(/ stream=\d+ bytes=\d+$/, ""));
}

test("a link's frames are lines in both directions, after hibernation too, and so are its states", async () => {
  const lines = watch();
  const agent = await connectAgent("tapped", {
    endpoints: [announcement("tapped", "web")],
    open: (stream) => {
      stream.sendHead(JSON.stringify({ status: 200, headers: [] }), [], true);
      return {};
    },
  });
  expect(lines()).toEqual([
    "link.frame direction=in type=HELLO",
    "link.state greeting -> connected (welcomed)",
    "link.frame direction=out type=WELCOME",
  ]);

  await evictDurableObject(originStub(env, "local", "tapped", 0));
  await (await ask("local--tapped-web")).text();
  agent.cut();
  await agent.closed;
  expect(lines().slice(3)).toEqual([
    "link.frame direction=out type=OPEN",
    "link.frame direction=in type=HEAD",
    "link.state connected -> closed (its socket was closed with 1001)",
  ]);
});

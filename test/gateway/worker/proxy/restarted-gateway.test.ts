/** A gateway that has just started again knows of no link: the boxes are about to dial. */
import { env as bindings, evictDurableObject } from "cloudflare:test";
import { expect, test } from "vitest";
import type { Env } from "../../../../gateway/contracts/env.ts";
import { originStub } from "../../../../gateway/contracts/stubs.ts";
import { announcement, ask, type Behaviour, connectAgent } from "../../fake-agent.ts";

const env = bindings as unknown as Env;
// As `postern gateway` runs it: Worker and objects lose their memory together.
env.POSTERN_ONE_ISOLATE = "1";

const BEHAVIOUR: Behaviour = {
  endpoints: [announcement("restarted", "web")],
  open: (stream) => {
    stream.sendHead(JSON.stringify({ status: 200, headers: [] }), [], true);
    return {};
  },
};

test("a call waits for a box that was there before the restart", async () => {
  const before = await connectAgent("restarted", BEHAVIOUR);
  before.cut();
  await before.closed;
  await evictDurableObject(originStub(env, "local", "restarted", 0));

  const response = ask("local--restarted-web");
  await connectAgent("restarted", BEHAVIOUR);
  expect((await response).status).toBe(200);
});

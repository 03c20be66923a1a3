/** A call whose link is lost before its Worker claims it goes on like one that was claimed before. */
import { env as bindings } from "cloudflare:test";
import { expect, test, vi } from "vitest";
import type { Env } from "../../../../gateway/contracts/env.ts";
import { receivedAttempt, receivedOpening } from "../../../../gateway/contracts/attempt.ts";
import { HEAD, SHARE, VERB } from "../../../../gateway/contracts/link.ts";
import { originStub } from "../../../../gateway/contracts/stubs.ts";
import type { Stream } from "../../../../routing/wire/stream.ts";
import { announcement, type Behaviour, connectAgent } from "../../fake-agent.ts";

const env = bindings as unknown as Env;
// As `postern gateway` runs it: the object goes on with a body whose link was lost.
env.POSTERN_ONE_ISOLATE = "1";

const BOX = "blinks-early";
const OK = JSON.stringify({ status: 200, headers: [] });
const encoder = new TextEncoder();

test("its response goes on over the next link", async () => {
  const offsets: number[] = [];
  let waiting: Stream | undefined;
  const granted = Promise.withResolvers<void>();
  const behaviour: Behaviour = {
    endpoints: [announcement(BOX, "web")],
    open: (stream) => {
      waiting = stream;
      stream.park();
      return { onWindow: granted.resolve };
    },
    attach: (stream, { offset }) => {
      offsets.push(offset);
      stream.sendHead(OK, [encoder.encode("rest")], true);
      return {};
    },
  };
  const agent = await connectAgent(BOX, behaviour);
  const stub = originStub(env, "local", BOX, 0);
  const endpoint = `main/${BOX}/web`;
  const head = JSON.stringify({
    callId: "early",
    endpoint,
    method: "GET",
    target: "/",
    headers: [],
  });
  const headers = { [HEAD]: head, [SHARE]: endpoint };
  const opened = receivedOpening(await stub.fetch(VERB.open, { method: "POST", headers }));
  expect(opened.kind).toBe("parked");
  waiting?.sendHead(OK);
  await granted.promise;
  waiting?.sendData([encoder.encode("first, ")]);
  // Frames leave in a microtask.
  await Promise.resolve();
  agent.cut();
  await vi.waitFor(async () => expect(await stub.isUp()).toBe(false));
  const claimed = receivedAttempt(
    await stub.fetch(VERB.claim, { headers: { [HEAD]: "early", [SHARE]: endpoint } }),
  );
  if (claimed.kind !== "response") throw new Error(`the claim is answered with ${claimed.kind}`);
  await connectAgent(BOX, behaviour);
  expect(await new Response(claimed.body).text()).toBe("first, rest");
  expect(offsets).toEqual(["first, ".length]);
});

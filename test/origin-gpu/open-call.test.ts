/** A call of parameters whose containers may be on another box is held until this box knows. */
import { expect, test, vi } from "vitest";
import { ok } from "../../base/result.ts";
import type { Stopping } from "../../origin-gpu/admitted-calls.ts";
import type { ServedFunction } from "../../origin-gpu/apps/served-function.ts";
import type { CallRegistry } from "../../origin-gpu/calls/call-registry.ts";
import type { Link } from "../../origin-gpu/link/link.ts";
import { openCall } from "../../origin-gpu/open-call.ts";
import type { RequestHead } from "../../routing/wire/heads.ts";
import { NO_EVENTS, type Stream } from "../../routing/wire/multiplexer.ts";

const HEAD = { target: "/?model=a", method: "POST" } as RequestHead;

function world() {
  const decision = Promise.withResolvers<void>();
  const state = { isElsewhere: false, stopping: undefined as Stopping };
  const decide = vi.fn(() => decision.promise);
  const served = {
    settings: { probePaths: [] as string[], kind: { type: "web_server" } },
    get isElsewhere() {
      return state.isElsewhere;
    },
    load: { running: 0, waiting: 0, room: 0, coming: 0 },
    hasSession: () => false,
    select: () => ok(served),
    decide,
    runner: () => ({}),
  } as unknown as ServedFunction;
  const refused: unknown[] = [];
  const stream = {
    events: NO_EVENTS,
    refuse: (failure: unknown) => refused.push(failure),
  } as unknown as Stream;
  const data: string[] = [];
  const open = vi.fn((_stream, _link, _head, { body }: { body: Uint8Array }) => {
    data.push(new TextDecoder().decode(body));
    return {
      ...NO_EVENTS,
      onData: (bytes: Uint8Array) => data.push(new TextDecoder().decode(bytes)),
    };
  });
  const calls = { open } as unknown as CallRegistry;
  const link = { number: 0 } as Link;
  const place = { calls, link, stopping: () => state.stopping };
  const begin = (head: RequestHead = HEAD) => {
    const body = new TextEncoder().encode("one");
    const events = openCall(place, served, { stream, body, end: false }, head);
    stream.events = events;
    // The link reads on into the same buffer.
    body.fill(0);
    return events;
  };
  return { begin, decision, decide, state, refused, data, open };
}

test("it begins with all that came meanwhile where the containers may be here", async () => {
  const { begin, decision, data, open } = world();
  begin().onData(new TextEncoder().encode("two"), false);
  expect(open).not.toHaveBeenCalled();
  decision.resolve();
  await expect.poll(() => data).toEqual(["one", "two"]);
});

test("it is refused where another box has them, so that the gateway goes on there", async () => {
  const { begin, decision, state, refused, open } = world();
  begin();
  state.isElsewhere = true;
  decision.resolve();
  await expect.poll(() => refused).toMatchObject([{ code: "no_origin" }]);
  expect(open).not.toHaveBeenCalled();
});

test("one whose client has left meanwhile begins nothing", async () => {
  const { begin, decision, open } = world();
  begin().onEnd({ kind: "cancelled" });
  decision.resolve();
  await decision.promise;
  await new Promise(setImmediate);
  expect(open).not.toHaveBeenCalled();
});

test("one that came before the box began to stop is refused", async () => {
  const { begin, decision, state, refused } = world();
  begin();
  state.stopping = "for_good";
  decision.resolve();
  await expect.poll(() => refused).toMatchObject([{ detail: "the box is stopping" }]);
});

test("calls of a key, and those that may be refused for want of room, are not held", () => {
  const { begin, decide, refused, open } = world();
  begin({ ...HEAD, key: "k" });
  expect(open).toHaveBeenCalledOnce();
  begin({ ...HEAD, mayRefuse: true });
  expect(refused).toMatchObject([{ code: "queue_full" }]);
  expect(decide).not.toHaveBeenCalled();
});

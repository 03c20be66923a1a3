/** How a call is sent to a container, case by case, with a container that is none. */
import { expect, test } from "vitest";
import type { Call } from "../../../origin-gpu/calls/call.ts";
import type { Grace } from "../../../origin-gpu/endpoints/grace.ts";
import { arrived, type QueuedCall } from "../../../origin-gpu/endpoints/queued-call.ts";
import type { Relays } from "../../../origin-gpu/endpoints/relays.ts";
import { Sender } from "../../../origin-gpu/endpoints/sender.ts";
import type { ServingContainer } from "../../../origin-gpu/endpoints/serving-container.ts";
import type { GatewayAddress } from "../../../origin-gpu/link/gateway-address.ts";
import { freePort } from "../../support/temporary.ts";
import { serverEndpoint } from "../containers/endpoint.ts";
import { StandInCall } from "./stand-in-call.ts";

const CONTAINERS = [
  ["whose end begins meanwhile", true],
  ["that goes on", false],
] as const;

/** A sender to a container, whose end begins meanwhile or does not. */
function senderTo(container: { isEnding: boolean }, ends: boolean) {
  const requeued: QueuedCall[] = [];
  const sender = new Sender({
    gateway: {} as GatewayAddress,
    relays: {} as Relays,
    grace: {
      untilExited: () => {
        container.isEnding = ends;
        return Promise.resolve(false);
      },
    } as unknown as Grace,
    onPlaceless: () => undefined,
    onLeft: () => undefined,
    onEnded: () => undefined,
    onBack: () => undefined,
    onRequeued: (queued) => requeued.push(queued),
  });
  return { sender, requeued };
}

test.each(CONTAINERS)(
  "of a call that a container refuses, one waits again: of a container %s",
  async (_which, ends) => {
    const container = {
      id: "ct-1",
      readyAt: 0,
      isEnding: false,
      connectionsFor: () => ({ send: (_proxied: unknown, refused: () => void) => refused() }),
    };
    const { sender, requeued } = senderTo(container, ends);
    const call = new StandInCall("/");
    const queued = arrived(call as unknown as Call, serverEndpoint(), 0);
    await sender.send(queued, container as unknown as ServingContainer);
    if (ends) await expect.poll(() => requeued).toEqual([queued]);
    else expect(await call.outcome).toBe("origin_error");
  },
);

test.each(CONTAINERS)(
  "a WebSocket that was refused likewise: by a container %s",
  async (...row) => {
    const [, ends] = row;
    const address = { origin: `http://127.0.0.1:${await freePort()}` };
    const container = { id: "ct-1", readyAt: 0, isEnding: false, address };
    const { sender, requeued } = senderTo(container, ends);
    const call = new StandInCall("/");
    const head = { ...call.head, websocket: "dial" };
    const queued = arrived(Object.assign(call, { head }) as unknown as Call, serverEndpoint(), 0);
    await sender.send(queued, container as unknown as ServingContainer);
    expect(call.withdrawn).toBe(1);
    if (ends) expect(requeued).toEqual([queued]);
    else expect(await call.outcome).toBe("origin_error");
  },
);

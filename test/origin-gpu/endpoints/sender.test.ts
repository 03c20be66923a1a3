/** How a call is sent to a container, case by case, with a container that is none. */
import { expect, test } from "vitest";
import type { Call } from "../../../origin-gpu/calls/call.ts";
import type { Grace } from "../../../origin-gpu/endpoints/grace.ts";
import { arrived, type QueuedCall } from "../../../origin-gpu/endpoints/queued-call.ts";
import type { Relays } from "../../../origin-gpu/endpoints/relays.ts";
import { Sender } from "../../../origin-gpu/endpoints/sender.ts";
import type { ServingContainer } from "../../../origin-gpu/endpoints/serving-container.ts";
import type { GatewayAddress } from "../../../origin-gpu/link/gateway-address.ts";
import { serverEndpoint } from "../containers/endpoint.ts";
import { StandInCall } from "./stand-in-call.ts";

test.each([
  ["whose end begins meanwhile", true],
  ["that goes on", false],
])(
  "of a call that a container refuses, one waits again: of a container %s",
  async (_which, ends) => {
    const container = {
      id: "ct-1",
      readyAt: 0,
      isEnding: false,
      connectionsFor: () => ({ send: (_proxied: unknown, refused: () => void) => refused() }),
    };
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
      onBack: () => undefined,
      onRequeued: (queued) => requeued.push(queued),
    });
    const call = new StandInCall("/");
    const queued = arrived(call as unknown as Call, serverEndpoint(), 0);
    await sender.send(queued, container as unknown as ServingContainer);
    if (ends) await expect.poll(() => requeued).toEqual([queued]);
    else expect(await call.outcome).toBe("origin_error");
  },
);

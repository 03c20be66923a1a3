/** A stream or a WebSocket holds an endpoint's only place: the box's log says why another request waits. */
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";

import { APPS, type Gateway, startUp } from "../support/harness.ts";
import { open, send } from "../support/http-client.ts";
import { ClientSocket } from "../support/websocket-client.ts";

let postern: Gateway;
beforeAll(async () => {
  const server = {
    web_server: ["node", join(APPS, "edition-server.ts")],
    env: { EDITION: "held" },
    max_inputs: 1,
  };
  postern = await startUp([
    { function: "stream", ...server },
    { function: "socket", ...server },
  ]);
});
afterAll(async () => await postern.stop());

const hold = {
  async stream(): Promise<() => void> {
    const response = await open(postern.address("stream"), "/events", { timeoutMs: 120_000 });
    response.resume().on("error", () => undefined);
    return () => void response.destroy();
  },
  async socket(): Promise<() => void> {
    const socket = await ClientSocket.connect(postern.address("socket"), "/");
    expect(socket.response.status).toBe(101);
    return () => socket.reset();
  },
};

test.concurrent.each(["stream", "socket"] as const)(
  "the log says that a %s holds the only place, and what waits is answered when it is free",
  async (kind) => {
    const letGo = await hold[kind]();
    let isAnswered = false;
    const waits = send(postern.address(kind), "/", { timeoutMs: 120_000 }).finally(() => {
      isAnswered = true;
    });
    await postern.process.waitForErrorOutput(
      new RegExp(
        `postern: 1 of 1 places of ${kind} are held for \\d+ s and more, 1 request waits: raise max_inputs or max_containers$`,
        "m",
      ),
      60_000,
    );
    expect(isAnswered).toBe(false);
    letGo();
    expect((await waits).json()).toMatchObject({ edition: "held" });
  },
);

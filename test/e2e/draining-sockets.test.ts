/** A WebSocket at a container that is to end: it has exit_grace_period, and holds the container no longer. */
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";

import { APPS, type Gateway, startCommand, startUp } from "../support/harness.ts";
import { open } from "../support/http-client.ts";
import { ClientSocket } from "../support/websocket-client.ts";

const PATIENCE = { timeout: 30_000 };
let postern: Gateway;

beforeAll(async () => {
  postern = await startUp([
    {
      function: "web",
      web_server: ["node", join(APPS, "edition-server.ts")],
      env: { EDITION: "first" },
      max_inputs: 10,
      exit_grace_period: 1,
    },
  ]);
});
afterAll(async () => await postern.stop());

async function run(...args: string[]): Promise<string> {
  const managed = startCommand([...args, "--state", postern.stateDirectory]);
  await managed.exited;
  return managed.stdout;
}

async function containers(): Promise<{ container: string; state: string }[]> {
  return JSON.parse(await run("container", "list", "--json")) as {
    container: string;
    state: string;
  }[];
}

test("is closed with 1001, while a request of the same container goes on", async () => {
  const socket = await ClientSocket.connect(postern.address(), "/");
  expect(await socket.awaitMessage("first")).toBe(true);
  const leaving = new AbortController();
  const events = await open(postern.address(), "/events", { signal: leaving.signal });
  let isOver = false;
  events.once("close", () => (isOver = true)).on("error", () => undefined);
  events.resume();
  const [{ container } = { container: "" }] = await containers();
  await run("container", "stop", container);
  expect(await socket.endsWithin(15_000)).toBe(true);
  expect(socket.seen.close).toBe('Close 1001 "its container ends"');
  expect(await containers()).toContainEqual(
    expect.objectContaining({ container, state: "draining" }),
  );
  expect(isOver).toBe(false);
  leaving.abort();
  await expect
    .poll(async () => (await containers()).map((listed) => listed.container), PATIENCE)
    .not.toContain(container);
});

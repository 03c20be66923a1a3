/** A box's life at a gateway, by the command alone: connected once, cut off when it is revoked. */
import { LIST_BOXES } from "../../api/boxes.ts";
import { readFileSync, rmSync } from "node:fs";
import { cp } from "node:fs/promises";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";

import { ownAccess } from "../../cli/access.ts";
import { ApiClient } from "../../cli/client.ts";
import { startBox } from "../support/box.ts";
import {
  APPS,
  type Gateway,
  startCommand,
  startGateway,
  startUp,
  upstream,
  writeConfig,
} from "../support/harness.ts";
import { open, send } from "../support/http-client.ts";
import { temporaryDirectory } from "../support/temporary.ts";
import { ClientSocket } from "../support/websocket-client.ts";
import { startWebApp, type WebApp } from "../support/web-app.ts";

interface Box {
  name: string;
  connected: boolean;
  ephemeral: boolean;
}

async function boxesOf({ stateDirectory }: Gateway): Promise<Box[]> {
  return await new ApiClient(ownAccess(stateDirectory)).list(LIST_BOXES, {});
}

async function webApp(): Promise<WebApp> {
  const app = await startWebApp();
  onTestFinished(async () => await app.stop());
  return app;
}

test("a revoked box is cut at once, its agent ends with one line, and comes back when it is enrolled again", async () => {
  const endpoints = [upstream((await webApp()).port)];
  const up = await startUp(endpoints);
  onTestFinished(() => up.process.killTree());
  const [box] = await boxesOf(up);
  expect(box).toMatchObject({ connected: true, ephemeral: false });
  expect((await send(up.address(), "/json")).status).toBe(200);
  const identity = join(up.stateDirectory, "box", "identity.json");
  const { key } = JSON.parse(readFileSync(identity, "utf8")) as { key: string };

  const revoked = startCommand(["box", "revoke", box?.name ?? "", "--state", up.stateDirectory]);
  expect((await revoked.exited).code).toBe(0);
  expect((await up.process.exited).code).toBe(1);
  expect(up.process.stderr).toMatch(
    / postern: the gateway has cut this box off: revoked.*identity\.json.*$/m,
  );
  expect(up.process.stdout + up.process.stderr).not.toContain(key);

  const flags = ["--port", String(up.port), "--state", up.stateDirectory];
  const config = writeConfig(endpoints);
  const refused = startCommand(["up", "--config", config, ...flags]);
  expect((await refused.exited).code).toBe(1);
  expect(refused.stderr).toMatch(/postern: the gateway at .* refuses this box: .*: revoked/m);

  rmSync(identity);
  const { port, stateDirectory } = up;
  const again = await startUp(endpoints, { port, stateDirectory });
  onTestFinished(() => again.process.killTree());
  expect((await send(again.address(), "/json")).status).toBe(200);
  expect(await boxesOf(again)).toMatchObject([{ name: box?.name, connected: true }]);
});

test("a revoked box's responses and WebSockets end within 5 s, also where its agent does not let go", async () => {
  const gateway = await startGateway();
  onTestFinished(async () => await gateway.stop());
  const server = ["node", join(APPS, "edition-server.ts")];
  const endpoint = {
    function: "web",
    web_server: server,
    env: { EDITION: "kept" },
    max_inputs: 2,
  };
  const agent = await startBox({ gateway, throughPort: gateway.port }, [endpoint]);
  onTestFinished(() => agent.killTree());
  const socket = await ClientSocket.connect(gateway.address(), "/");
  expect(await socket.awaitMessage("kept")).toBe(true);
  const stream = await open(gateway.address(), "/events");
  const streamed = (async () => {
    for await (const _ of stream);
  })();
  const isCut = expect(streamed).rejects.toThrow();
  // Its sockets stay open, and nothing that it is told reaches it.
  process.kill(agent.pid, "SIGSTOP");
  const revokedAt = performance.now();
  await startCommand(["box", "revoke", "box", "--state", gateway.stateDirectory]).exited;
  await Promise.all([socket.ended(), isCut]);
  expect(performance.now() - revokedAt).toBeLessThan(5_000);
  expect(socket.seen.close).toBe("no Close frame");
});

test("of two agents of one box the newer gives up with a clear line, and the older serves on", async () => {
  const endpoints = [upstream((await webApp()).port)];
  const gateway = await startGateway();
  onTestFinished(async () => await gateway.stop());
  const stateDirectory = temporaryDirectory();
  const older = await startBox({ gateway, stateDirectory, throughPort: gateway.port }, endpoints);
  onTestFinished(async () => void (await older.stop()));
  // The identity was copied to another machine.
  const copied = temporaryDirectory();
  await cp(join(stateDirectory, "identity.json"), join(copied, "identity.json"));
  const place = { gateway, stateDirectory: copied, throughPort: gateway.port };
  await expect(startBox(place, endpoints)).rejects.toThrow(
    /another agent is connected as box box: stop it, or take another name/,
  );
  expect((await send(gateway.address(), "/json")).status).toBe(200);
  expect(await boxesOf(gateway)).toMatchObject([{ name: "box", connected: true }]);
});

test("a gateway that was killed knows which boxes are connected when it is back", async () => {
  const endpoints = [upstream((await webApp()).port)];
  const gateway = await startGateway();
  const stateDirectory = temporaryDirectory();
  const place = { gateway, stateDirectory, throughPort: gateway.port };
  const agent = await startBox(place, endpoints);
  onTestFinished(() => agent.killTree());
  expect(await boxesOf(gateway)).toMatchObject([{ name: "box", connected: true }]);
  gateway.process.killTree();
  agent.killTree();
  await Promise.all([gateway.process.exited, agent.exited]);
  const { port } = gateway;
  const back = await startGateway({ port, stateDirectory: gateway.stateDirectory });
  onTestFinished(async () => await back.stop());
  expect(await boxesOf(back)).toMatchObject([{ name: "box", connected: false }]);
  const again = await startBox({ ...place, gateway: back }, endpoints);
  onTestFinished(() => again.killTree());
  expect(await boxesOf(back)).toMatchObject([{ name: "box", connected: true }]);
});

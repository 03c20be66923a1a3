import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, expect, onTestFinished, test } from "vitest";

import { startContainer } from "../../../origin-gpu/containers/start-container.ts";
import { freePort } from "../../support/temporary.ts";
import { endpointConfig, plainPython, listening } from "./endpoint.ts";

async function serve(status: () => number): Promise<string> {
  const server = createServer((_request, response) => response.writeHead(status()).end());
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

function start(url: string, settings: { healthPath?: string; startupTimeout?: number } = {}) {
  const warned = Promise.withResolvers<string>();
  const container = startContainer({
    endpoint: endpointConfig({ kind: { type: "upstream", url }, ...settings }),
    environment: {},
    usePython: plainPython,
    ...listening(warned.resolve),
  });
  onTestFinished(async () => await container.stop());
  return { container, warned: warned.promise };
}

describe("a server that somebody else runs", () => {
  test("is served at once, and a warning tells that it is not there", async () => {
    const url = `http://127.0.0.1:${await freePort()}`;
    const { container, warned } = start(url);
    expect(await container.ready).toEqual({ origin: url });
    expect(await warned).toBe(`postern: warning: nothing takes connections at ${url} yet`);
    expect(container.state).toBe("ready");
  });

  test("is waited for where it has a health path", async () => {
    let asked = 0;
    const url = await serve(() => (asked++ < 2 ? 503 : 200));
    const { container } = start(url, { healthPath: "/health" });
    expect(await container.ready).toEqual({ origin: url });
    expect(asked).toBe(3);
  });

  test("that does not become healthy in time is a failed start", async () => {
    const url = await serve(() => 500);
    const { container } = start(url, { healthPath: "/health", startupTimeout: 1 });
    await expect(container.ready).rejects.toMatchObject({
      code: "startup_timeout",
      message: `not ready within startup_timeout, 1 s: GET ${url}/health was answered 500`,
    });
    expect(container.state).toBe("failed");
    await expect(container.exited).resolves.toEqual({ code: null, signal: null });
  });

  test("is left alone by a stop", async () => {
    const url = await serve(() => 204);
    const { container } = start(url);
    await container.ready;
    await container.stop();
    expect(container.state).toBe("stopped");
    expect((await fetch(url)).status).toBe(204);
  });
});

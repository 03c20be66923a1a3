import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";

import type { EndpointConfig } from "../../../origin-gpu/config/config.ts";
import { createContainerPool } from "../../../origin-gpu/containers/pool.ts";
import { temporaryDirectory } from "../../support/temporary.ts";
import { endpointConfig, serverEndpoint, plainPython, listening } from "./endpoint.ts";

function createPool(endpoint: EndpointConfig) {
  const lines: string[] = [];
  const pool = createContainerPool({
    endpoint,
    environment: {},
    usePython: plainPython,
    ...listening((line) => lines.push(line)),
  });
  onTestFinished(async () => await pool.close());
  return { pool, lines };
}

describe("an endpoint's container", () => {
  test("is started once, for all who wait and all who come later", async () => {
    const { pool, lines } = createPool(serverEndpoint());
    const first = await Promise.all([pool.acquire(), pool.acquire()]);
    const later = await pool.acquire();
    expect(new Set([...first, later].map(({ containerId }) => containerId)).size).toBe(1);
    expect(later.origin).toMatch(/^http:\/\/127\.0\.0\.1:/);
    expect(lines).toContainEqual(expect.stringMatching(/^postern: ready after \d+\.\d s$/));
  });

  test("that crashed is started again by the next request, once", async () => {
    const { pool, lines } = createPool(serverEndpoint());
    const crashed = await pool.acquire();
    await expect(fetch(`${crashed.origin}/crash`)).rejects.toThrow();
    await expect.poll(() => lines.at(-1)).toMatch(/ended by itself with code 7/);
    const again = await Promise.all([pool.acquire(), pool.acquire()]);
    expect(again[0]?.containerId).toBe(again[1]?.containerId);
    expect(again[0]?.containerId).not.toBe(crashed.containerId);
    expect((await fetch(again[0]?.origin ?? "")).status).toBe(200);
  });

  test("that failed to start is not started for every request", async () => {
    const { pool, lines } = createPool(serverEndpoint(["--exit-at-start", "3"]));
    const message = "ended with code 3 before it was ready";
    await expect(pool.acquire()).rejects.toMatchObject({ code: "starting_failed", message });
    const atOnce = { code: "starting_failed", message: `${message}; it may start again in 1 s` };
    await expect(pool.acquire()).rejects.toMatchObject(atOnce);
    await expect(pool.acquire()).rejects.toMatchObject(atOnce);
    expect(lines.filter((line) => line === "out of memory")).toHaveLength(1);
  });

  test("that failed to start is started again when its time has come", async () => {
    const repaired = join(temporaryDirectory(), "repaired");
    const script = `[ -e ${repaired} ] || exit 1; exec node -e 'require("node:http").createServer().listen(process.env.PORT, "127.0.0.1")'`;
    const kind = { type: "web_server", command: ["sh", "-c", script] } as const;
    const { pool } = createPool(endpointConfig({ kind }));
    await expect(pool.acquire()).rejects.toMatchObject({ code: "starting_failed" });
    writeFileSync(repaired, "");
    expect(existsSync(repaired)).toBe(true);
    await expect.poll(() => pool.acquire(), { timeout: 10_000 }).toHaveProperty("containerId");
  });

  test("is gone after close, and no other is started", async () => {
    const { pool, lines } = createPool(serverEndpoint());
    await pool.acquire();
    await pool.close();
    expect(lines).toContain("bye");
    await expect(pool.acquire()).rejects.toMatchObject({
      code: "starting_failed",
      message: "the endpoint is being stopped",
    });
  });
});

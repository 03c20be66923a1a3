import { expect, onTestFinished, test } from "vitest";

import { SILENT } from "../../../base/observer.ts";
import type { VersionDescription } from "../../../origin-gpu/apps/app-version.ts";
import { AppRuntime } from "../../../origin-gpu/apps/app-runtime.ts";
import { Box } from "../../../origin-gpu/core/box.ts";
import { BoxClaims } from "../../../origin-gpu/endpoints/box-claims.ts";
import { formatProblems, parseConfig } from "../../../origin-gpu/config/config.ts";
import { GatewayAddress } from "../../../origin-gpu/link/gateway-address.ts";

const SUPERSEDED = "another version came before it was ready";

/** A version on a server that somebody else runs: there is no process to start. */
function version(number: number): VersionDescription {
  const result = parseConfig(
    `app = "shop"
    [[endpoint]]
    function = "web"
    upstream = "http://127.0.0.1:9"
    max_inputs = ${number}`,
    "postern.toml",
  );
  if (!result.ok) throw new Error(formatProblems(result.problems));
  return {
    app: "shop",
    environment: "main",
    version: number,
    token: "",
    urls: {},
    reachableUrls: {},
    box: "gpu-1",
    region: "",
    logName: "",
    endpoints: result.config.endpoints,
  };
}

/** An app that serves version 1. */
async function servedApp(): Promise<AppRuntime> {
  const enrolment = { workspace: "w", box: "gpu-1", serial: "1", key: "", audience: "" };
  const app = new AppRuntime({
    gateway: new GatewayAddress({ url: "http://127.0.0.1:9", enrolment }),
    bodies: undefined,
    claims: new BoxClaims(new Box()),
    usePython: () => {
      throw new Error("nothing is Python here");
    },
    onServing: () => undefined,
    observer: SILENT,
  });
  onTestFinished(async () => await app.close());
  await app.begin(version(1));
  return app;
}

const servingVersion = (app: AppRuntime) => app.find("web")?.settings.maxInputs;

test("a prepared version takes over when it is told to", async () => {
  const app = await servedApp();
  await app.prepare(version(2));
  expect(servingVersion(app)).toBe(1);
  await app.switchTo();
  expect(servingVersion(app)).toBe(2);
});

test("of versions that come while an older one ends, the last alone is prepared", async () => {
  const app = await servedApp();
  await app.prepare(version(2));
  const third = app.prepare(version(3));
  const fourth = app.prepare(version(4));
  await expect(third).rejects.toThrow(SUPERSEDED);
  await fourth;
  await app.switchTo();
  expect(servingVersion(app)).toBe(4);
});

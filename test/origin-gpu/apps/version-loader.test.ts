import { existsSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";

import { SILENT } from "../../../base/observer.ts";
import { VersionLoader } from "../../../origin-gpu/apps/version-loader.ts";
import { StartFailure, type UsePython } from "../../../origin-gpu/containers/container.ts";
import type { AssignedApp, AssignedVersion } from "../../../routing/wire/deployments.ts";
import { temporaryDirectory } from "../../support/temporary.ts";

const HASH = "a".repeat(64);
const ASSIGNMENT: AssignedApp = { id: "ap-1", environment: "main", app: "speech", token: "pat-1" };
const ENDPOINT = { function: "web", asgi: "server:app", directory: "sub", secrets: ["hub"] };

function version(endpoint: object, code = true): AssignedVersion {
  return {
    version: 3,
    content: {
      config: { app: "speech", endpoint: [endpoint] },
      code: code ? { hash: HASH, bytes: 1 } : null,
      endpoints: [],
    },
    urls: { web: "https://web" },
    secrets: { hub: { TOKEN: "secret" } },
  };
}

/** What was done, in order. */
function loader(usePython: UsePython) {
  const events: string[] = [];
  const emptyDirectory = join(temporaryDirectory(), "none");
  const versionLoader = new VersionLoader({
    code: {
      fetch: async (hash) => void events.push(`fetch ${hash === HASH}`),
      directoryOf: async (_hash, owner) => {
        events.push(`unpack ${owner}`);
        return "/code";
      },
    },
    controlPlane: { code: async () => (async function* () {})() },
    usePython,
    emptyDirectory,
    box: "gpu-1",
    region: "eu",
    loopbackUrls: { reachable: async () => ({ web: "http://127.0.0.1:1" }) },
    observer: SILENT,
  });
  return { versionLoader, events, emptyDirectory };
}

const held: string[] = [];
const countingPython: UsePython = async ({ function: name, python }) => {
  held.push(name);
  return { python, release: () => void held.splice(held.indexOf(name), 1) };
};

test("a version runs in a copy of its code, with its secrets, and holds its Python until it is started", async () => {
  const { versionLoader, events } = loader(countingPython);
  const scaling = { web: { min_containers: 2 } };
  const assigned = { ...version(ENDPOINT), scaling };
  const loaded = await versionLoader.load(ASSIGNMENT, assigned, (state) => {
    events.push(state);
  });
  expect(events).toEqual(["fetch true", "unpack ap-1-v3", "preparing"]);
  expect(loaded.description).toMatchObject({
    app: "speech",
    version: 3,
    token: "pat-1",
    region: "eu",
    urls: { web: "https://web" },
    reachableUrls: { web: "http://127.0.0.1:1" },
    endpoints: [{ directory: "/code/sub", env: { TOKEN: "secret" } }],
    scaling,
  });
  expect(held).toEqual(["web"]);
  loaded.release();
  expect(held).toEqual([]);
});

test("a version without code runs in an empty directory", async () => {
  const { versionLoader, events, emptyDirectory } = loader(countingPython);
  const endpoint = { function: "web", upstream: "http://127.0.0.1:1" };
  const loaded = await versionLoader.load(ASSIGNMENT, version(endpoint, false), () => undefined);
  expect(loaded.description.endpoints[0]?.directory).toBe(emptyDirectory);
  expect(existsSync(emptyDirectory)).toBe(true);
  expect(events).toEqual([]);
});

test("a configuration that this agent does not understand fails with what is wrong with it", async () => {
  const { versionLoader } = loader(countingPython);
  const loading = versionLoader.load(ASSIGNMENT, version({ function: "web" }), () => undefined);
  await expect(loading).rejects.toMatchObject({
    message: expect.stringContaining("update Postern there"),
    lastLines: [expect.stringMatching(/^speech v3: endpoint\.web: must have exactly one of/)],
  });
});

test("a Python that can't be made fails the version, and the others are let go", async () => {
  const { versionLoader } = loader(async (endpoint, log) => {
    if (endpoint.function === "bad") throw new StartFailure("starting_failed", "no such package");
    return await countingPython(endpoint, log);
  });
  const assigned = version(ENDPOINT);
  assigned.content.config["endpoint"] = [ENDPOINT, { ...ENDPOINT, function: "bad" }];
  await expect(versionLoader.load(ASSIGNMENT, assigned, () => undefined)).rejects.toThrow(
    "no such package",
  );
  expect(held).toEqual([]);
});

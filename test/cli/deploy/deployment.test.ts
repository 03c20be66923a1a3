/** What a deployment asks of the gateway and in which order, and what is left of one that ends early. */
import { createHash } from "node:crypto";
import { Readable } from "node:stream";
import { expect, test } from "vitest";
import { deploy } from "../../../cli/deploy/deployment.ts";
import type { ApiVersion } from "../../../api/versions.ts";
import { type Script, startStandInApi } from "./stand-in-api.ts";

const CODE = Buffer.alloc(300_000, "code");
const HASH = createHash("sha256").update(CODE).digest("hex");

const box = (
  name: string,
  more: Partial<ApiVersion["boxes"][number]> = {},
): ApiVersion["boxes"][number] => ({
  name,
  connected: true,
  has_code: false,
  state: null,
  detail: "",
  ...more,
});

const version = (status: ApiVersion["status"], more: Partial<ApiVersion> = {}): ApiVersion => ({
  version: 3,
  status,
  detail: "",
  lines: [],
  created_at: "2026-01-01T00:00:00Z",
  created_by: "ak-w-x",
  created_by_name: "ci",
  commit: "",
  tag: "",
  rollback_of: null,
  endpoints: [],
  scalings: [],
  boxes: [box("gpu-1")],
  ...more,
});

/** Deploys an app with code at a stand-in for the API. */
async function deployAt(script: Script, { isStopped = false } = {}) {
  const api = await startStandInApi(script);
  const notices: string[] = [];
  const stop = Promise.withResolvers<void>();
  if (isStopped) stop.resolve();
  const result = deploy(
    {
      app: "shop",
      environment: "main",
      request: {
        content: { config: {}, code: { hash: HASH, bytes: CODE.length }, endpoints: [] },
      },
      code: { hash: HASH, bytes: CODE.length, open: () => Readable.from(CODE) },
    },
    {
      client: api.client,
      stopped: stop.promise,
      notice: (line) => notices.push(line),
      progress: { isTerminal: false, write: () => undefined, now: () => 0 },
    },
  );
  return { result, asked: api.asked, notices, stop: () => stop.resolve() };
}

const VERSIONS = "/apps/shop/versions";

test("the code goes to one box that is there, before the version starts", async () => {
  const boxes = [box("gpu-0", { connected: false }), box("gpu-1"), box("gpu-2")];
  const { result, asked } = await deployAt({
    versions: [version("staged", { boxes }), version("serving", { boxes })],
  });
  await result;
  expect(asked).toEqual([
    `POST ${VERSIONS}`,
    `PUT /boxes/gpu-1/code/${HASH} ${HASH}`,
    `POST ${VERSIONS}/3/start`,
    `GET ${VERSIONS}/3`,
  ]);
});

test("nothing is uploaded where a box that is there has the code", async () => {
  const boxes = [box("gpu-1"), box("gpu-2", { has_code: true })];
  const { result, asked } = await deployAt({
    versions: [version("staged", { boxes }), version("serving", { boxes })],
  });
  await result;
  expect(asked.filter((line) => line.startsWith("PUT"))).toEqual([]);
});

test("with no box there the version is taken back", async () => {
  const boxes = [box("gpu-1", { connected: false, has_code: true })];
  const { result, asked } = await deployAt({ versions: [version("staged", { boxes })] });
  await expect(result).rejects.toThrow("none of its boxes is connected: gpu-1");
  expect(asked).toEqual([`POST ${VERSIONS}`, `DELETE ${VERSIONS}/3`]);
});

test("stopped before it began, it asks for nothing", async () => {
  const { result, asked } = await deployAt({ versions: [version("staged")] }, { isStopped: true });
  await expect(result).rejects.toThrow("stopped; nothing has changed");
  expect(asked).toEqual([]);
});

test("stopped during the upload, it changes nothing", async () => {
  const uploading = Promise.withResolvers<void>();
  const { result, asked, stop } = await deployAt({
    versions: [version("staged"), version("serving")],
    onUpload: async () => {
      uploading.resolve();
      await new Promise(() => undefined);
    },
  });
  await uploading.promise;
  stop();
  await expect(result).rejects.toThrow("stopped; nothing has changed");
  expect(asked).toEqual([`POST ${VERSIONS}`, `DELETE ${VERSIONS}/3`]);
});

test("stopped later, it goes on without the command", async () => {
  const starting = version("candidate", { boxes: [box("gpu-1", { state: "starting" })] });
  const { result, asked, notices, stop } = await deployAt({
    versions: [version("staged"), starting],
  });
  await expect.poll(() => notices).toContain("gpu-1: starting");
  stop();
  await expect(result).rejects.toThrow("v3 of shop goes on without this command");
  expect(asked.filter((line) => line.startsWith("DELETE"))).toEqual([]);
});

test("what a box says is told once", async () => {
  const at = (state: ApiVersion["boxes"][number]["state"], detail = "") =>
    version("candidate", { boxes: [box("gpu-1", { state, detail })] });
  const { result, notices } = await deployAt({
    versions: [
      version("staged"),
      at("fetching"),
      at("preparing", "2 of 5 packages"),
      at("preparing", "2 of 5 packages"),
      version("serving", { boxes: [box("gpu-1", { state: "serving" })] }),
    ],
  });
  await result;
  expect(notices).toEqual([
    "gpu-1: fetching",
    "gpu-1: preparing: 2 of 5 packages",
    "gpu-1: serving",
  ]);
});

test("a gateway that is away for a moment is asked again", async () => {
  const { result, notices } = await deployAt({
    versions: [version("staged"), "away", "away", version("serving")],
  });
  await result;
  expect(notices).toEqual(["gpu-1: waits"]);
});

test("a version that failed is said why, with its last lines and with what serves", async () => {
  const lines = ["loading", "out of memory"];
  const failed = version("failed", { detail: "web ended with exit code 3 on gpu-1", lines });
  const serving = version("serving", { version: 2 });
  const { result, notices } = await deployAt({ versions: [version("staged"), failed], serving });
  await expect(result).rejects.toThrow(
    "v3 of shop failed: web ended with exit code 3 on gpu-1; v2 serves",
  );
  expect(notices.slice(-2)).toEqual(["  loading", "  out of memory"]);
});

test("a version that failed says of the one that serves why no box runs it", async () => {
  const failed = version("failed", { detail: "box gpu-1: f: exit code 1" });
  const detail = "no box has its code: deploy it again";
  const serving = version("serving", { version: 2, detail });
  const { result } = await deployAt({ versions: [version("staged"), failed], serving });
  await expect(result).rejects.toThrow(
    `v3 of shop failed: box gpu-1: f: exit code 1; v2 should serve, but ${detail}`,
  );
});

test("where nothing served before, nothing does", async () => {
  const { result } = await deployAt({ versions: [version("staged"), version("superseded")] });
  await expect(result).rejects.toThrow("v3 of shop superseded; nothing serves");
});

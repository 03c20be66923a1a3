/** Packed code over real links: from a command to a box, and from there to another one. */
import { MIB } from "../../base/units.ts";
import { UPLOAD_CODE } from "../../api/boxes.ts";
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { Readable } from "node:stream";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { SILENT } from "../../base/observer.ts";
import { ownAccess } from "../../cli/access.ts";
import { enrolledBox } from "../../cli/box-identity.ts";
import { ApiClient } from "../../cli/client.ts";
import { type RunningAgent, startAgent } from "../../origin-gpu/agent.ts";
import { GatewayClient } from "../../origin-gpu/link/gateway-client.ts";
import { GatewayAssignments } from "../../origin-gpu/apps/assignment-source.ts";
import { CodeStore } from "../../origin-gpu/code/code-store.ts";
import { packCode } from "../../origin-gpu/code/pack-code.ts";
import { GatewayAddress } from "../../origin-gpu/link/gateway-address.ts";
import { contentsOf, directoryWith } from "../origin-gpu/code/directory.ts";
import { type Gateway, startGateway } from "../support/harness.ts";
import { temporaryDirectory } from "../support/temporary.ts";

let gateway: Gateway;
let gatewayUrl: string;
let api: ApiClient;
let agent: RunningAgent;

beforeAll(async () => {
  gateway = await startGateway();
  gatewayUrl = `http://localhost:${gateway.port}`;
  api = new ApiClient(ownAccess(gateway.stateDirectory));
  const stateDirectory = temporaryDirectory();
  agent = await startAgent({
    gatewayUrl,
    enrolment: await enrol("first", stateDirectory),
    stateDirectory,
    acceptsAssignments: true,
    observer: SILENT,
  });
});
afterAll(async () => {
  await agent.close();
  await gateway.stop();
});

async function enrol(name: string, directory: string) {
  return await enrolledBox({ access: ownAccess(gateway.stateDirectory), directory, name });
}

async function upload(hash: string, bytes: number, content: Readable): Promise<void> {
  const { signal } = new AbortController();
  const onProgress = () => undefined;
  const request = { path: { box: "first", hash } };
  await api.upload(UPLOAD_CODE, request, { bytes, content, onProgress, signal });
}

test("code that a command brought to one box is fetched from there by another", async () => {
  const weights = randomBytes(8 * MIB).toString("base64");
  const code = await packCode(directoryWith({ "lib/weights": weights, "server.py": "app" }));
  onTestFinished(() => code.close());
  await upload(code.hash, code.bytes, code.open());

  const directory = temporaryDirectory();
  const enrolment = await enrol("second", directory);
  const control = new GatewayAssignments(
    new GatewayClient(new GatewayAddress({ url: gatewayUrl, enrolment })),
  );
  const store = await CodeStore.open({ directory: join(directory, "code") });
  await store.fetch(code.hash, (hash) => control.code(hash));
  const copy = await store.directoryOf(code.hash, "ap-1-v1");
  expect(contentsOf(copy)).toEqual({ "lib/weights": weights, "server.py": "app" });
});

test("what is not the code that its hash names is refused, with the box's reason", async () => {
  const bytes = Buffer.from("not packed");
  const uploading = upload("0".repeat(64), bytes.length, Readable.from([bytes]));
  await expect(uploading).rejects.toThrow("the code is damaged");
});

/** Two boxes of a gateway, each an agent of its own, on which one server is deployed that notes its requests. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { stringify } from "smol-toml";
import { expect, onTestFinished } from "vitest";

import { startGateway } from "./harness.ts";
import type { Address } from "./http-client.ts";
import { startElsewhere } from "./other-machine.ts";
import type { ManagedProcess } from "./processes.ts";
import { temporaryDirectory } from "./temporary.ts";

export interface TwoOrigins {
  /** `gpu-1` and `gpu-2`. */
  readonly boxes: readonly [ManagedProcess, ManagedProcess];
  readonly address: Address;
  /** What the server appended to the file NOTES, by lines. */
  readonly noted: () => string[];
}

/**
 * Starts them for the present test.
 * @param server the text of an ES module that listens on PORT, and appends to the file NOTES
 */
export async function startTwoOrigins(server: string): Promise<TwoOrigins> {
  const gateway = await startGateway();
  onTestFinished(async () => await gateway.stop());
  const startAs = (args: readonly string[]): ManagedProcess => startElsewhere(gateway, args);
  const startOrigin = async (name: string): Promise<ManagedProcess> => {
    const box = startAs(["origin", "--name", name]);
    onTestFinished(() => box.killTree());
    await box.waitForErrorOutput(new RegExp(`${name} is connected`));
    return box;
  };
  const boxes = [await startOrigin("gpu-1"), await startOrigin("gpu-2")] as const;
  const app = join(temporaryDirectory(), "shop");
  const notes = join(temporaryDirectory(), "notes");
  writeFileSync(notes, "");
  mkdirSync(app);
  writeFileSync(join(app, "server.mjs"), server);
  const web = {
    function: "web",
    web_server: ["node", "server.mjs"],
    env: { NOTES: notes },
    boxes: ["gpu-*"],
    min_containers: 2,
    max_containers: 2,
    max_inputs: 100,
  };
  writeFileSync(join(app, "postern.toml"), stringify({ app: "shop", endpoint: [web] }));
  const deploy = startAs(["deploy", join(app, "postern.toml")]);
  await deploy.exited;
  expect(deploy.stderr).toContain("serves on gpu-1, gpu-2\n");
  const address = { port: gateway.port, host: `tests--shop-web.localhost:${gateway.port}` };
  return { boxes, address, noted: () => readFileSync(notes, "utf8").split("\n") };
}

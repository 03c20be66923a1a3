/**
 * A box whose GPUs are declared, or come from a nvidia-smi that the test writes. The servers' GPU is a directory with a
 * size (test/support/apps/gpu-server.ts): two that overlap where they must not fail as CUDA does.
 */
import { chmodSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { type TomlTable, stringify } from "smol-toml";
import { afterEach, expect, test } from "vitest";
import { startCommand, startGateway, startUp } from "../support/harness.ts";
import { gpuModel } from "../support/gpu-model.ts";
import { type Address, send } from "../support/http-client.ts";
import type { ManagedProcess } from "../support/processes.ts";
import { temporaryDirectory } from "../support/temporary.ts";

const OUT_OF_MEMORY = "CUDA out of memory";

interface Told {
  readonly name: string;
  readonly pid: number;
  readonly cards: readonly string[];
}

async function ask(address: Address, path = "/"): Promise<Told> {
  const { status, text } = await send(address, path, { timeoutMs: 120_000 });
  expect([status, text]).toEqual([200, expect.any(String)]);
  return JSON.parse(text) as Told;
}

const stops: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0).toReversed()) await stop();
});

test("three endpoints take turns on one GPU under traffic: no call is lost, and no model overlaps", async () => {
  const cards = temporaryDirectory();
  const names = ["one", "two", "three"];
  const endpoints = [
    ...names.map((name) => gpuModel(name, cards, { gpus: "H100" })),
    ...["left", "right"].map((name) =>
      gpuModel(name, cards, { gpu_memory: "10GiB", env: { MEMORY: "10" } }),
    ),
  ];
  const postern = await startUp(endpoints, { env: { POSTERN_GPUS: "H100:80GiB,L4:24GiB" } });
  stops.push(() => postern.stop());
  const shared = await Promise.all(["left", "right"].map((name) => ask(postern.address(name))));
  const calls = Array.from({ length: 24 }, async (_, index) => {
    const name = names[index % names.length] ?? "";
    const told = await ask(postern.address(name), `/slow?ms=${100 * (index % 7)}`);
    expect(told).toMatchObject({ name, cards: ["0"] });
  });
  await Promise.all(calls);
  // Both have been there all the time, on the smaller card.
  expect(shared.map((told) => told.cards)).toEqual([["1"], ["1"]]);
  expect(await Promise.all(["left", "right"].map((name) => ask(postern.address(name))))).toEqual(
    shared,
  );
  expect(postern.process.stdout + postern.process.stderr).not.toContain(OUT_OF_MEMORY);
});

test("a new version takes the only GPU, and one that fails leaves it to the old one", async () => {
  const gateway = await startGateway();
  stops.push(() => gateway.stop());
  const [cards, directory] = [temporaryDirectory(), temporaryDirectory()];
  const write = (edition: string, env: TomlTable = {}) => {
    const web = gpuModel("web", cards, { gpus: 1, env: { NAME: edition, ...env } });
    writeFileSync(join(directory, "postern.toml"), stringify({ app: "gpus", endpoint: [web] }));
  };
  write("first");
  const served: ManagedProcess = startCommand(["serve", "--state", gateway.stateDirectory], {
    cwd: directory,
    env: { POSTERN_GPUS: "H100:80GiB" },
  });
  stops.push(() => served.stop());
  await served.waitForOutput(/^http:\S+$/m);
  const web = { port: gateway.port, host: `tests--gpus-web-dev.localhost:${gateway.port}` };
  expect((await ask(web)).name).toBe("first");
  const slow = ask(web, "/slow?ms=2000");
  await served.waitForErrorOutput(/first begins \/slow/);
  write("second");
  await served.waitForErrorOutput(/ postern: the new version serves$/m);
  expect((await slow).name).toBe("first");
  expect((await ask(web)).name).toBe("second");
  write("third", { MEMORY: "90" });
  await served.waitForErrorOutput(/ postern: .*; the version before it goes on$/m);
  // It loads again though no call waits.
  await served.waitForErrorOutput(new RegExp(`${OUT_OF_MEMORY}[^]*second loads`));
  expect((await ask(web)).name).toBe("second");
  expect(served.stderr.match(new RegExp(OUT_OF_MEMORY, "g"))).toHaveLength(1);
});

test("a wrong POSTERN_GPUS is refused with the right form", async () => {
  const command = startCommand(["up"], { env: { POSTERN_GPUS: "H100:80GB" } });
  stops.push(() => command.stop());
  await command.waitForErrorOutput(/POSTERN_GPUS: "H100:80GB": must be "none", or NAME/);
});

test("a GPU that nvidia-smi loses is taken out, and its container is replaced on another one", async () => {
  const [cards, bin] = [temporaryDirectory(), temporaryDirectory()];
  const smi = join(bin, "nvidia-smi");
  const write = (...uuids: string[]) => {
    const rows = uuids.map(
      (uuid, index) =>
        `${index}, ${uuid}, NVIDIA L4, 23034, 0000:0${index}:00.0, 0, Disabled, None`,
    );
    writeFileSync(smi, `#!/bin/sh\ncat <<END\n${rows.join("\n")}\nEND\n`);
    chmodSync(smi, 0o755);
  };
  write("GPU-a", "GPU-b");
  const postern = await startUp([gpuModel("web", cards, { gpus: 1 })], {
    env: { PATH: `${bin}${delimiter}${process.env["PATH"] ?? ""}` },
  });
  stops.push(() => postern.stop());
  expect((await ask(postern.address())).cards).toEqual(["GPU-a"]);
  write("GPU-b");
  await postern.process.waitForErrorOutput(/GPU GPU-a \(NVIDIA L4\) is taken out/, 60_000);
  expect((await ask(postern.address())).cards).toEqual(["GPU-b"]);
  // Calls wait for the last one, those that come as well.
  write();
  const running = ask(postern.address(), "/slow?ms=35000");
  await postern.process.waitForErrorOutput(/GPU GPU-b \(NVIDIA L4\) is taken out/, 60_000);
  const waiting = [ask(postern.address()), ask(postern.address())];
  await running;
  await postern.process.waitForErrorOutput(/its card GPU-b \(NVIDIA L4\) was taken out/, 60_000);
  waiting.push(ask(postern.address()));
  write("GPU-b");
  const answers = await Promise.all(waiting);
  expect(answers.map((told) => told.cards)).toEqual([["GPU-b"], ["GPU-b"], ["GPU-b"]]);
}, 240_000);

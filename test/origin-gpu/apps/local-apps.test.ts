/** What a box announces where its agent brings an app along and containers forward ports. */
import { expect, test } from "vitest";
import type { AppRuntimes } from "../../../origin-gpu/apps/app-runtimes.ts";
import { LocalApps } from "../../../origin-gpu/apps/local-apps.ts";
import { type AppConfig, parseConfigDocument } from "../../../origin-gpu/config/config.ts";
import type { EndpointAnnouncement, Welcome } from "../../../routing/wire/messages.ts";

function brought(): AppConfig {
  const endpoint = [
    { function: "one", upstream: "http://127.0.0.1:1" },
    { function: "two", upstream: "http://127.0.0.1:2" },
  ];
  const result = parseConfigDocument({ app: "own", endpoint }, "/", "postern.toml");
  if (!result.ok) throw new Error("the configuration is wrong");
  return result.config;
}

/** A gateway that answers each HELLO when the test lets it; `refuses` names a function. */
function box(config: AppConfig | undefined, { refuses = "" } = {}) {
  const hellos: { endpoints: EndpointAnnouncement[]; answer: () => void }[] = [];
  const announce = async (endpoints: EndpointAnnouncement[]): Promise<Welcome> => {
    const { promise, resolve } = Promise.withResolvers<Welcome>();
    const answers = endpoints.map(({ app, function: name }) =>
      name === refuses
        ? { refused: "name_taken" as const, detail: "it is taken" }
        : { url: `http://${app}-${name}`, appToken: "token" },
    );
    const answer = (): void => resolve({ version: 1, endpoints: answers } as unknown as Welcome);
    hellos.push({ endpoints, answer });
    return await promise;
  };
  const apps = {
    take: () => ({ begin: async () => undefined }),
    remove: async (name: { app: string }) => void removed.push(name.app),
  };
  const removed: string[] = [];
  const local = new LocalApps(
    {
      apps: apps as unknown as AppRuntimes,
      workspace: "tests",
      box: "gpu-1",
      region: "",
      devSuffix: undefined,
      announce,
      secrets: async () => ({}),
      loopbackUrls: { reachable: async (urls) => ({ ...urls }) },
    },
    config,
  );
  const answered = async (index: number): Promise<string[]> => {
    await expect.poll(() => hellos.length).toBeGreaterThan(index);
    hellos[index]?.answer();
    return hellos[index]?.endpoints.map(({ app, function: name }) => `${app}/${name}`) ?? [];
  };
  return { local, answered, hellos, removed };
}

const FORWARDED = expect.stringMatching(/^forward-[0-9a-f]{8}\/port$/);

test("each HELLO names all of them, one after the other, and each app gets its own answers", async () => {
  const { local, answered, hellos, removed } = box(brought());
  const started = local.start();
  const [first, second] = [local.openTunnel("main", 8000), local.openTunnel("eu", 9000)];
  expect(await answered(0)).toEqual(["own/one", "own/two"]);
  await started;
  expect(await answered(1)).toEqual(["own/one", "own/two", FORWARDED]);
  const tunnel = await first;
  expect(tunnel.url).toMatch(/^http:\/\/forward-[0-9a-f]{8}-port$/);
  expect(await answered(2)).toEqual(["own/one", "own/two", FORWARDED, FORWARDED]);
  const other = await second;
  expect(other.url).not.toBe(tunnel.url);
  expect(hellos[2]?.endpoints.map(({ environment }) => environment)).toEqual([
    "main",
    "main",
    "main",
    "eu",
  ]);
  expect(local.brought?.urls.map(({ url }) => url)).toEqual(["http://own-one", "http://own-two"]);
  const closed = tunnel.close();
  expect(await answered(3)).toEqual(["own/one", "own/two", FORWARDED]);
  await closed;
  expect(removed.map((app) => `http://${app}-port`)).toEqual([tunnel.url]);
});

test("a name that the gateway refuses is taken back, with its words", async () => {
  const { local, answered } = box(undefined, { refuses: "port" });
  const opening = local.openTunnel("main", 8000);
  const refused = expect(opening).rejects.toThrow("port: it is taken");
  expect(await answered(0)).toEqual([FORWARDED]);
  await refused;
  expect(await answered(1)).toEqual([]);
});

test("a box forwards so many ports and no more", async () => {
  const { local } = box(undefined);
  for (let count = 0; count < 100; count += 1) {
    local.openTunnel("main", 8000).catch(() => undefined);
  }
  await expect(local.openTunnel("main", 8000)).rejects.toThrow("this box forwards 100 ports");
});

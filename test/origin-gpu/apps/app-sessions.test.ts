/** Sessions while an app gets a new version: those that the old one has stay there until its grace ends. */
import { fileURLToPath } from "node:url";
import { expect, onTestFinished, test, vi } from "vitest";
import { SILENT } from "../../../base/observer.ts";
import { AppRuntime } from "../../../origin-gpu/apps/app-runtime.ts";
import type { EndpointConfig } from "../../../origin-gpu/config/config.ts";
import type { VersionDescription } from "../../../origin-gpu/apps/app-version.ts";
import { Box } from "../../../origin-gpu/core/box.ts";
import { BoxClaims } from "../../../origin-gpu/endpoints/box-claims.ts";
import { GatewayAddress } from "../../../origin-gpu/link/gateway-address.ts";
import type { RequestSession } from "../../../routing/wire/sessions.ts";
import { endpointConfig, plainPython } from "../containers/endpoint.ts";
import { PATIENCE, StandInCall } from "../endpoints/stand-in-call.ts";

const SERVER = fileURLToPath(new URL("../../support/apps/session-server.ts", import.meta.url));

function version(
  number: number,
  mode: "soft" | "hard",
  graceS: number,
  more: Partial<EndpointConfig> = {},
): VersionDescription {
  const settings = endpointConfig({
    kind: { type: "web_server", command: ["node", SERVER] },
    function: "web",
    maxInputs: 10,
    affinity: { rules: ["query:s"], mode },
    exitGracePeriod: graceS,
    ...more,
  });
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
    endpoints: [settings],
  };
}

function emptyApp(): AppRuntime {
  const enrolment = { workspace: "w", box: "gpu-1", serial: "1", key: "", audience: "" };
  const app = new AppRuntime({
    gateway: new GatewayAddress({ url: "http://127.0.0.1:9", enrolment }),
    bodies: undefined,
    claims: new BoxClaims(new Box()),
    usePython: plainPython,
    onServing: () => undefined,
    observer: SILENT,
  });
  onTestFinished(async () => await app.close());
  return app;
}

async function ask(app: AppRuntime, session: RequestSession, target = "/") {
  const call = new StandInCall(target);
  Object.assign(call.head, { session });
  app.find("web")?.runner(0).run(call.asCall);
  return { outcome: await call.outcome, told: call.asCall.session };
}

const NAMED: RequestSession = { keys: ["query:s=a"] };

test("calls of a session go to the version that has it, new ones to the next", async () => {
  const app = emptyApp();
  await app.begin(version(1, "soft", 60));
  const first = await ask(app, NAMED);
  expect(first).toMatchObject({ outcome: 200, told: { state: "new" } });
  await app.prepare(version(2, "soft", 60));
  void app.switchTo();
  const place = first.told?.container;
  expect(await ask(app, NAMED)).toMatchObject({ told: { container: place, state: "kept" } });
  const byCookie = await ask(app, { keys: ["cookie=b"], container: place ?? "" });
  expect(byCookie.told).toEqual({ container: place, state: "kept" });
  const other = await ask(app, { keys: ["query:s=b"] });
  expect(other.told?.state).toBe("new");
  expect(other.told?.container).not.toBe(place);
  expect(app.find("web")?.hasSession(NAMED)).toBe(true);
  expect(app.find("web")?.knowsSession(["query:s=a"])).toBe(true);
});

test.each([
  ["moves", "soft", 200],
  ["is lost", "hard", "session_lost"],
] as const)("when the grace is over, a session %s", async (_, mode, outcome) => {
  const app = emptyApp();
  await app.begin(version(1, mode, 0.3));
  const first = await ask(app, NAMED);
  await app.prepare(version(2, mode, 0.3));
  await app.switchTo();
  await vi.waitFor(() => expect(app.containers).toHaveLength(1), PATIENCE);
  const after = await ask(app, NAMED);
  expect(after.outcome).toBe(outcome);
  if (mode === "soft") expect(after.told?.state).toBe("moved");
  expect(after.told?.container).not.toBe(first.told?.container);
});

test("a session belongs to its set of parameters, in the version that has it too", async () => {
  const app = emptyApp();
  const parameters = { model: { type: "str" } } as const;
  await app.begin(version(1, "soft", 60, { parameters }));
  const first = await ask(app, NAMED, "/?model=a");
  const other = await ask(app, NAMED, "/?model=b");
  expect(other).toMatchObject({ outcome: 200, told: { state: "new" } });
  await app.prepare(version(2, "soft", 60, { parameters }));
  void app.switchTo();
  const { container } = first.told ?? {};
  expect(await ask(app, NAMED, "/?model=a")).toMatchObject({ told: { container, state: "kept" } });
  // The set that the old version does not have begins in the new one.
  expect(await ask(app, NAMED, "/?model=c")).toMatchObject({
    outcome: 200,
    told: { state: "new" },
  });
  const isHere = (target: string): boolean | undefined => {
    const selected = app.find("web")?.select?.(target);
    return selected?.ok === true ? selected.value.hasSession(NAMED) : undefined;
  };
  expect(["/?model=a", "/?model=b", "/?model=d", "/"].map(isHere)).toEqual([
    true,
    true,
    false,
    undefined,
  ]);
});

test("a hard session is lost with the container of its set, and other sets go on", async () => {
  const app = emptyApp();
  const parameters = { model: { type: "str", default: "a" } } as const;
  await app.begin(version(1, "hard", 0, { parameters }));
  expect(await ask(app, NAMED, "/?model=b")).toMatchObject({ outcome: 200 });
  await app.prepare(version(2, "hard", 0, { parameters }));
  await app.switchTo();
  expect(await ask(app, NAMED, "/?model=b")).toMatchObject({ outcome: "session_lost" });
  expect(await ask(app, NAMED, "/?model=c")).toMatchObject({ outcome: 200 });
});

/**
 * A version in another one's place, while requests run, wait, stream and stay open: what a version has
 * accepted it finishes, within its grace period; what comes later goes to the new one.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TomlTable, stringify } from "smol-toml";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";

import { APPS, type Gateway, startCommand, startGateway } from "../support/harness.ts";
import { type Address, events, open, send } from "../support/http-client.ts";
import { ManagedProcess } from "../support/processes.ts";
import { startSteadyLoad } from "../support/steady-load.ts";
import { freePort, temporaryDirectory } from "../support/temporary.ts";
import { ClientSocket } from "../support/websocket-client.ts";

const SWAPPED = / postern: the new version serves$/m;
const KEPT = / postern: .*; the version before it goes on$/m;

interface Told {
  readonly edition: string;
  readonly container: string;
}

let gateway: Gateway;
beforeAll(async () => {
  gateway = await startGateway();
});
afterAll(async () => await gateway.stop());

let served: ManagedProcess | undefined;
afterEach(async () => {
  await served?.stop();
  served = undefined;
});

/** The app under `postern serve`, whose editions a test writes one after the other. */
class App {
  /** Each its own: the edge knows a name for some seconds longer than it is served. */
  static #apps = 0;
  readonly #name = `swap${(App.#apps += 1)}`;
  readonly #directory = temporaryDirectory();
  readonly #settings: TomlTable;
  process!: ManagedProcess;

  private constructor(settings: TomlTable) {
    this.#settings = settings;
  }

  static async start(settings: TomlTable = {}): Promise<App> {
    const app = new App(settings);
    app.write("first");
    app.process = startCommand(["serve", "--state", gateway.stateDirectory], {
      cwd: app.#directory,
    });
    served = app.process;
    await app.process.waitForOutput(/^http:\S+$/m);
    expect((await app.told()).edition).toBe("first");
    return app;
  }

  address(name = "web"): Address {
    return {
      port: gateway.port,
      host: `tests--${this.#name}-${name}-dev.localhost:${gateway.port}`,
    };
  }

  /** Another edition, with more endpoints where a test wants them. */
  write(edition: string, ...more: TomlTable[]): void {
    const web = {
      function: "web",
      web_server: ["node", join(APPS, "edition-server.ts")],
      env: { EDITION: edition },
      startup_timeout: 20,
      ...this.#settings,
    };
    const text = stringify({ app: this.#name, endpoint: [web, ...more] });
    writeFileSync(join(this.#directory, "postern.toml"), text);
  }

  /** Another edition, whose containers serve when this resolves. */
  async swap(edition: string, ...more: TomlTable[]): Promise<void> {
    this.write(edition, ...more);
    await this.process.waitForErrorOutput(SWAPPED);
  }

  async told(path = "/", name = "web"): Promise<Told> {
    return (await send(this.address(name), path, { timeoutMs: 60_000 })).json() as Told;
  }

  /** Begins a request of so many milliseconds; resolves when the app is at work on it. */
  async begin(edition: string, ms: number): Promise<{ readonly answer: Promise<Told> }> {
    const answer = this.told(`/slow?ms=${ms}`);
    await this.process.waitForErrorOutput(new RegExp(`${edition} begins /slow`));
    return { answer };
  }
}

describe("a version in another one's place", () => {
  test("gets what waits at once, and leaves what runs to the version that works on it", async () => {
    const app = await App.start({ max_inputs: 1 });
    const running = await app.begin("first", 4_000);
    const waiting = app.told();
    await app.swap("second");
    expect((await app.told()).edition).toBe("second");
    expect((await waiting).edition).toBe("second");
    expect((await running.answer).edition).toBe("first");
  });

  test("is alone when the old one's grace is over: what runs there is cut then", async () => {
    const app = await App.start({ max_inputs: 1, exit_grace_period: 2 });
    const running = send(app.address(), "/slow?ms=60000", { timeoutMs: 60_000 });
    await app.process.waitForErrorOutput(/first begins \/slow/);
    const waiting = app.told();
    await app.swap("second");
    expect((await waiting).edition).toBe("second");
    expect((await running).status).toBe(502);
  });

  test("ends streams and WebSockets of the old one with its grace, a WebSocket with 1001", async () => {
    const app = await App.start({ max_inputs: 10, exit_grace_period: 2 });
    const stream = await open(app.address(), "/events");
    const socket = await ClientSocket.connect(app.address(), "/");
    expect(await socket.awaitMessage("first")).toBe(true);
    await app.swap("second");
    const seen = new Set<string>();
    await expect(
      (async () => {
        for await (const event of events(stream)) seen.add(event);
      })(),
    ).rejects.toThrow();
    expect([...seen]).toEqual(["first"]);
    await socket.ended();
    expect(socket.seen.close).toBe('Close 1001 "this version of the app has ended"');
  });

  test("that fails to start tells its last lines, and no request notices", async () => {
    const app = await App.start({ max_inputs: 100 });
    const { container } = await app.told();
    const load = startSteadyLoad(app.address(), "/", 50, 10_000);
    app.write("broken");
    await app.process.waitForErrorOutput(KEPT);
    await load.stop();
    await app.process.waitForErrorOutput(/no such weights/);
    expect(load.outcomes.filter(({ result }) => result !== 200)).toEqual([]);
    expect(await app.told()).toEqual({ edition: "first", container });
  });
});

describe("a version with the fixed port of the one before", () => {
  test("takes it over with a pause, in which requests wait and none fails", async () => {
    const app = await App.start({ max_inputs: 100, port: await freePort() });
    const load = startSteadyLoad(app.address(), "/", 50, 20_000);
    await app.swap("second");
    await load.stop();
    expect(load.outcomes.filter(({ result }) => result !== 200)).toEqual([]);
    expect((await app.told()).edition).toBe("second");
    await app.process.waitForErrorOutput(
      /makes room: another container waits for its GPU or its port/,
    );
  });

  test("gives it back when it fails to start", async () => {
    const app = await App.start({ max_inputs: 100, port: await freePort() });
    app.write("broken");
    await app.process.waitForErrorOutput(KEPT);
    expect((await app.told()).edition).toBe("first");
  });
});

describe("functions on the same containers", () => {
  const admin = { function: "admin", containers_of: "web" };

  test("are served by one process, through one queue", async () => {
    const app = await App.start({ max_inputs: 1 });
    await app.swap("second", admin);
    const web = await app.told();
    expect(await app.told("/", "admin")).toEqual(web);
    const began = performance.now();
    const running = await app.begin("second", 1_000);
    await app.told("/", "admin");
    expect(performance.now() - began).toBeGreaterThan(900);
    await running.answer;
  });

  test("have each their own lock", async () => {
    const app = await App.start();
    await app.swap("second", { ...admin, requires_proxy_auth: true });
    expect((await send(app.address("admin"), "/")).status).toBe(401);
    expect((await send(app.address(), "/")).status).toBe(200);
  });
});

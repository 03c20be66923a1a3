/** An endpoint whose containers are real processes that hang, fall sick, die at work or want to be replaced. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test, vi } from "vitest";
import type { EndpointConfig } from "../../../origin-gpu/config/config.ts";
import type { Endpoint, Reroute } from "../../../origin-gpu/endpoints/endpoint.ts";
import { serverEndpoint } from "../containers/endpoint.ts";
import { isAlive, takeDescriptors } from "../../support/processes.ts";
import { temporaryDirectory } from "../../support/temporary.ts";
import { endpointOf, open, PATIENCE, StandInCall } from "./stand-in-call.ts";

/** Asks for health five times a second; a process that does not end has half a second. */
const WATCHED = { healthPath: "/health", healthInterval: 0.2, exitGracePeriod: 0.5, maxInputs: 9 };

/** Runs a call to its end. */
async function run(endpoint: Endpoint, settings: EndpointConfig, target: string, method = "GET") {
  const call = open(endpoint, settings, new StandInCall(target, { method }));
  return { call, outcome: await call.outcome };
}

/** Waits for a line of the log. */
async function told(lines: readonly string[], line: string | RegExp): Promise<void> {
  await vi.waitFor(() => {
    expect(lines).toContainEqual(typeof line === "string" ? line : expect.stringMatching(line));
  }, PATIENCE);
}

/** The process that printed its number last. */
const pidIn = (lines: readonly string[]): number =>
  Number(
    lines
      .findLast((line) => line.startsWith("server pid "))
      ?.split(" ")
      .at(-1),
  );

describe("a container that does not answer at its health_path any more", () => {
  test.each([
    [
      "since it says that it is not well",
      (endpoint: Endpoint, settings: EndpointConfig) => {
        open(endpoint, settings, new StandInCall("/sick"));
      },
      "GET /health was answered 503, 3 times in a row",
    ],
    [
      "since it is stopped",
      (_endpoint: Endpoint, _settings: EndpointConfig, lines: readonly string[]) => {
        process.kill(pidIn(lines), "SIGSTOP");
      },
      "GET /health was not answered in time, 3 times in a row",
    ],
    [
      "since it has leaked its descriptors",
      (_endpoint: Endpoint, _settings: EndpointConfig, lines: readonly string[]) => {
        takeDescriptors(pidIn(lines));
      },
      "GET /health ",
    ],
  ])("is ended and replaced: %s", async (_why, hang, reason) => {
    const settings = serverEndpoint([], WATCHED);
    const { endpoint, lines } = endpointOf(settings);
    const first = await run(endpoint, settings, "/");
    expect(first.outcome).toBe(200);
    hang(endpoint, settings, lines);
    await told(lines, new RegExp(`^postern: it is hung and is ended: ${reason}`));
    const next = await run(endpoint, settings, "/");
    expect(next.outcome).toBe(200);
    expect(next.call.container).not.toBe(first.call.container);
  });

  test("ends with the calls that it has, when they have been silent for timeout", async () => {
    const settings = serverEndpoint([], { ...WATCHED, timeout: 1 });
    const { endpoint, lines } = endpointOf(settings);
    expect((await run(endpoint, settings, "/")).outcome).toBe(200);
    const call = open(endpoint, { ...settings, timeout: 60 }, new StandInCall("/hang"));
    await told(lines, /^postern: it is hung and is ended: GET \/health was not answered in time/);
    expect(await call.outcome).toBe("origin_error");
    expect(call.detail).toBe("the app broke the exchange: its container was ended");
  });
});

test.each([
  ["crashes", "/crash"],
  ["falls sick and is ended", "/sick"],
])("a call whose container %s before it is sent waits for the next one", async (_how, path) => {
  const settings = serverEndpoint([], WATCHED);
  const { endpoint } = endpointOf(settings);
  const first = await run(endpoint, settings, "/");
  const call = new StandInCall("/later");
  const recorded = Promise.withResolvers<"recorded">();
  const recordStart = vi.fn(async () => await recorded.promise);
  call.recordStart = recordStart;
  open(endpoint, settings, call);
  const { PORT } = JSON.parse(first.call.text) as { PORT: string };
  await fetch(`http://127.0.0.1:${PORT}${path}`).catch(() => undefined);
  const isThere = (): boolean => endpoint.containers.some(({ id }) => id === first.call.container);
  await expect.poll(isThere, PATIENCE).toBe(false);
  recorded.resolve("recorded");
  expect(await call.outcome).toBe(200);
  expect(call.container).not.toBe(first.call.container);
  // A kill between the two would have left it lost, and a new version could not have taken it.
  expect([call.withdrawn, recordStart.mock.calls.length]).toEqual([1, 2]);
});

test("a container that crashed gets no call while its stop_command runs", async () => {
  const file = join(temporaryDirectory(), "over");
  const stopCommand = ["sh", "-c", 'echo ends; until [ -e "$0" ]; do sleep 0.05; done', file];
  const settings = serverEndpoint([], { stopCommand, maxInputs: 9 });
  const { endpoint, lines } = endpointOf(settings);
  const first = await run(endpoint, settings, "/");
  // A GET would be sent once more, to the next container.
  await run(endpoint, settings, "/crash", "POST");
  await told(lines, "ends");
  const call = open(endpoint, settings, new StandInCall("/"));
  writeFileSync(file, "");
  expect(await call.outcome).toBe(200);
  expect(call.container).not.toBe(first.call.container);
});

test.each([
  ["its calls", []],
  ["calls that keeps_awake leaves out", ["/slow", "/drain"]],
])("a container that asks for it finishes %s and is replaced", async (_, exceptPaths) => {
  const keepsAwake = { websockets: true, exceptPaths };
  const settings = serverEndpoint([], { maxInputs: 2, keepsAwake });
  const { endpoint, lines } = endpointOf(settings);
  const slow = open(endpoint, settings, new StandInCall("/slow"));
  const asking = await run(endpoint, settings, "/drain");
  expect(asking.outcome).toBe(200);
  await told(lines, /^postern: it asks to be replaced/);
  const next = await run(endpoint, settings, "/");
  expect(next.outcome).toBe(200);
  expect(next.call.container).not.toBe(asking.call.container);
  expect(slow.over).toBe(false);
  expect(lines).not.toContain("bye");
  const { PORT } = JSON.parse(asking.call.text) as { PORT: string };
  await fetch(`http://127.0.0.1:${PORT}/go`);
  expect(await slow.outcome).toBe(200);
  await told(lines, "bye");
});

test("a container that dies while it finishes its calls ends with them, and has a successor by then", async () => {
  const settings = serverEndpoint([], { maxInputs: 2 });
  const { endpoint, lines } = endpointOf(settings);
  const slow = open(endpoint, settings, new StandInCall("/slow"));
  const asking = await run(endpoint, settings, "/drain");
  // Its successor has printed nothing yet.
  const pid = pidIn(lines);
  await told(lines, /^postern: it asks to be replaced/);
  const next = await run(endpoint, settings, "/");
  process.kill(pid, "SIGKILL");
  expect(await slow.outcome).toBe("origin_error");
  await expect
    .poll(() => endpoint.containers, PATIENCE)
    .toMatchObject([{ id: next.call.container, state: "ready" }]);
  expect(next.call.container).not.toBe(asking.call.container);
});

describe("a call whose container died before it answered", () => {
  const retries = { maxRetries: 2, initialDelay: 0, backoffCoefficient: 1, maxDelay: 1 };
  const crashOnce = () => `/crash-once${join(temporaryDirectory(), "crashed")}`;
  const crashes = (lines: readonly string[]) =>
    lines.filter((line) => line.includes("ended by itself with code 7")).length;

  test.each(["GET", "POST"])("is run again where retries says so: %s", async (method) => {
    const settings = serverEndpoint([], { retries });
    const { endpoint, lines } = endpointOf(settings);
    const call = open(endpoint, settings, new StandInCall(crashOnce(), { method }));
    expect(await call.outcome).toBe(200);
    expect(crashes(lines)).toBe(1);
    expect((await run(endpoint, settings, "/")).outcome).toBe(200);
  });

  test("is not run again where it does not, not even a GET", async () => {
    const settings = serverEndpoint();
    const { endpoint, lines } = endpointOf(settings);
    expect((await run(endpoint, settings, crashOnce())).outcome).toBe("origin_error");
    await told(lines, /ended by itself with code 7/);
    expect(lines.filter((line) => line.startsWith("server pid "))).toHaveLength(1);
  });

  test("is run again as often as retries says, and fails then", async () => {
    const settings = serverEndpoint([], { retries });
    const { endpoint, lines } = endpointOf(settings);
    expect((await run(endpoint, settings, "/crash", "POST")).outcome).toBe("origin_error");
    expect(crashes(lines)).toBe(3);
  });

  test("is run again no more often where another version takes it over meanwhile", async () => {
    const settings = serverEndpoint([], {
      retries: { ...retries, maxRetries: 1, initialDelay: 1 },
    });
    const [old, next] = [endpointOf(settings), endpointOf(settings)];
    const call = open(old.endpoint, settings, new StandInCall("/crash"));
    await told(old.lines, /ended by itself with code 7/);
    const reroute: Reroute = (given) => next.endpoint.takeOver(given, settings, 0);
    const retired = old.endpoint.retire(reroute, false);
    expect(await call.outcome).toBe("origin_error");
    expect([old, next].map(({ lines }) => crashes(lines))).toEqual([1, 1]);
    await retired;
  });

  test("is run again when its container hung and was killed, and not before that", async () => {
    const hung = { ...WATCHED, exitGracePeriod: 1.5, timeout: 0.1, retries };
    const settings = serverEndpoint([], hung);
    const patient = { ...settings, timeout: 60 };
    const { endpoint, lines } = endpointOf(settings);
    expect((await run(endpoint, patient, "/")).outcome).toBe(200);
    const call = open(endpoint, patient, new StandInCall("/slow"));
    const pid = pidIn(lines);
    process.kill(pid, "SIGSTOP");
    await told(lines, /^postern: it is hung and is ended/);
    await vi.waitFor(() => {
      expect(pidIn(lines)).not.toBe(pid);
      expect(isAlive(pid)).toBe(false);
    }, PATIENCE);
    // Each answers what waits at /slow by then.
    while (!call.over) expect((await run(endpoint, patient, "/go")).outcome).toBe(200);
    expect(await call.outcome).toBe(200);
  });

  test("is not run again once its client has left", async () => {
    const settings = serverEndpoint([], { retries: { ...retries, initialDelay: 60 } });
    const { endpoint, lines } = endpointOf(settings);
    const call = open(endpoint, settings, new StandInCall(crashOnce()));
    await told(lines, /ended by itself with code 7/);
    call.fail({ code: "client_closed", detail: "" });
    expect((await run(endpoint, settings, "/")).outcome).toBe(200);
    expect(await call.outcome).toBe("client_closed");
  });
});

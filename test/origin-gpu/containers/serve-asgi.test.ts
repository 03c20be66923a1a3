/** The Python launcher under real uvicorn. Skipped where the tests' Python has not been made (test/support/venv.ts). */
import { describe, expect, onTestFinished, test } from "vitest";

import type { EndpointConfig } from "../../../origin-gpu/config/config.ts";
import { startContainer } from "../../../origin-gpu/containers/start-container.ts";
import { existingVenv } from "../../support/venv.ts";
import { HERE, endpointConfig, plainPython, listening } from "./endpoint.ts";

const DIRECTORY = `${HERE}asgi`;

function start(target: string, settings: Partial<EndpointConfig> = {}) {
  const lines: string[] = [];
  const container = startContainer({
    endpoint: endpointConfig({
      kind: { type: "asgi", target },
      python: existingVenv() ?? "python3",
      directory: DIRECTORY,
      ...settings,
    }),
    environment: { PYTHONDONTWRITEBYTECODE: "1" },
    usePython: plainPython,
    ...listening((line) => lines.push(line)),
  });
  onTestFinished(async () => await container.stop());
  return { container, lines };
}

/** What the container printed when it did not become ready. */
async function linesOfFailure(
  target: string,
  settings: Partial<EndpointConfig> = {},
): Promise<string[]> {
  const { container, lines } = start(target, settings);
  await expect(container.ready).rejects.toMatchObject({ code: "starting_failed" });
  expect((await container.exited).code).toBeGreaterThan(0);
  return lines;
}

describe("a mistake is one clear line", () => {
  test("a missing interpreter", async () => {
    expect(await linesOfFailure("apps:app", { python: ".venv/bin/python" })).toEqual([
      "postern: command not found: .venv/bin/python",
    ]);
  });

  test("a missing uvicorn", async () => {
    // No package can be found: the interpreter looks for its own alone.
    const lines = await linesOfFailure("apps:app", {
      env: { PYTHONPATH: "" },
      python: BARE_PYTHON,
    });
    expect(lines).toEqual([
      expect.stringMatching(/^postern: uvicorn is not installed: run .* -m pip install 'uvicorn/),
    ]);
  });
});

/** An interpreter without packages: `-S` leaves out the folder where they are. */
const BARE_PYTHON = `${DIRECTORY}/bare-python.sh`;

describe.skipIf(existingVenv() === undefined)("under uvicorn", () => {
  test.each([
    "apps:app",
    "apps:make",
    "apps:make_with_defaults",
    "apps:Instance",
    "apps:instance",
    "apps:instance.method",
    "apps:partial",
    "apps:Holder.nested",
    "apps:without_lifespan",
    "apps:app_of_rest",
    "apps:plain_app",
    "apps:plain_app_with_more",
    "apps:plain_app_with_defaults",
    "apps:decorated",
    "apps:plain_instance",
    "apps:Endpoint",
    "apps:make_with_three_defaults",
    "apps:make_of_rest",
    "apps:Configurable",
    "apps:make_method",
    "apps:partial_factory",
    "apps:partial_class",
  ])("%s serves", async (target) => {
    const { container } = start(target);
    const { origin } = await container.ready;
    const response = await fetch(`${origin}/a%2Fb/../c`, {
      headers: { "X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https" },
    });
    expect(await response.json()).toMatchObject({ client: "203.0.113.9", scheme: "https" });
    expect(response.headers.get("server")).toBe("the app's own");
  });

  test("lifespan startup and shutdown are seen, the latter at the stop signal", async () => {
    const { container, lines } = start("apps:app", { stopSignal: "SIGHUP" });
    await container.ready;
    expect(lines).toEqual(["lifespan.startup"]);
    await container.stop();
    expect(lines).toEqual(["lifespan.startup", "lifespan.shutdown"]);
  });

  test("each request has a copy of the lifespan's state, and no extension is claimed", async () => {
    const { container } = start("apps:stateful");
    const { origin } = await container.ready;
    const ask = async (query: string) => await (await fetch(`${origin}/?${query}`)).json();
    // Trailers among them: they end at the gateway.
    const extensions = {};
    expect(await ask("one")).toEqual({
      state: { loaded: ["model", "one"], added: "one" },
      extensions,
    });
    expect(await ask("two")).toEqual({
      state: { loaded: ["model", "one", "two"], added: "two" },
      extensions,
    });
  });

  test.each([
    ["nothing:app", `postern: there is no module nothing in ${DIRECTORY}`],
    ["apps:nothing", "postern: apps has no attribute nothing"],
    ["apps:Holder.nothing", "postern: apps.Holder has no attribute nothing"],
    ["apps:number", "postern: apps:number is of type int and not an ASGI app"],
    ["apps:make_nothing", "postern: apps:make_nothing() is of type NoneType and not an ASGI app"],
    [
      "apps:wsgi",
      'postern: apps:wsgi looks like a WSGI app: write wsgi = "…" in the place of asgi',
    ],
    [
      "apps:make_wsgi",
      'postern: apps:make_wsgi() looks like a WSGI app: write wsgi = "…" in the place of asgi',
    ],
    [
      "apps:four_arguments",
      "postern: apps:four_arguments is neither an ASGI app nor a function without arguments",
    ],
    [
      "apps:needs_settings",
      "postern: apps:needs_settings is neither an ASGI app nor a function without arguments",
    ],
    [
      "apps:NeedsSettings",
      "postern: apps:NeedsSettings is a class that needs arguments; name an instance, or a function that makes one",
    ],
    [
      "apps:make_async",
      "postern: apps:make_async is an async function; the function that makes the app must be a plain one",
    ],
  ])("%s is refused in one line", async (target, line) => {
    expect(await linesOfFailure(target)).toEqual([line]);
  });

  test.each([
    ["apps:raising", "apps.py", "postern: apps:raising() failed: RuntimeError: no GPU here"],
    [
      "apps:raising_at_length",
      "apps.py",
      "postern: apps:raising_at_length() failed: RuntimeError: no GPU here",
    ],
    ["apps:leaving", "apps.py", "postern: apps:leaving() failed: SystemExit: 0"],
    [
      "broken_import:app",
      "broken_import.py",
      "postern: importing broken_import failed: ModuleNotFoundError: No module named 'no_such_package_of_anybody'",
    ],
    [
      "broken_syntax:app",
      "broken_syntax.py",
      "postern: importing broken_syntax failed: SyntaxError",
    ],
  ])("%s ends with a traceback of the user's code and one line", async (target, file, last) => {
    const lines = await linesOfFailure(target);
    expect(lines.at(-1)).toContain(last);
    expect(lines.join("\n")).toContain(file);
    expect(lines.join("\n")).not.toContain("postern_container");
    expect(lines.join("\n")).not.toContain("importlib");
  });

  test("a failed lifespan startup is a failed start, with the app's reason", async () => {
    const lines = await linesOfFailure("apps:failing_startup");
    expect(lines.join("\n")).toContain("no GPU here");
  });
});

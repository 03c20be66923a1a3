/** A TypeScript app in a process of its own. The rules of its events have their tests in ../module/. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";

import type { EndpointConfig } from "../../../origin-gpu/config/config.ts";
import { CHANNEL_DESCRIPTOR } from "../../../origin-gpu/containers/command-descriptors.ts";
import { startContainer } from "../../../origin-gpu/containers/start-container.ts";
import { RawConnection } from "../../support/raw-http.ts";
import { temporaryDirectory } from "../../support/temporary.ts";
import { HERE, endpointConfig, listening, plainPython } from "./endpoint.ts";

const DIRECTORY = `${HERE}module`;

function start(file: string, settings: Partial<EndpointConfig> = {}) {
  const lines: string[] = [];
  const container = startContainer({
    endpoint: endpointConfig({ kind: { type: "module", file }, directory: DIRECTORY, ...settings }),
    environment: {},
    usePython: plainPython,
    ...listening((line) => lines.push(line)),
  });
  onTestFinished(async () => await container.stop());
  return { container, lines };
}

describe("an app that serves", () => {
  test("has its lifespan's state, no words of ours, and a channel that its children don't have", async () => {
    const { origin } = await start("app.ts").container.ready;
    const seen = (await (await fetch(origin)).json()) as { readonly descriptorsOfChild: number[] };
    expect(seen).toMatchObject({ startedBy: "lifespan", words: [] });
    expect(seen.descriptorsOfChild).toContain(2);
    expect(seen.descriptorsOfChild).not.toContain(CHANNEL_DESCRIPTOR);
    expect(seen.descriptorsOfChild).not.toContain(CHANNEL_DESCRIPTOR + 1);
  });

  test("may be JavaScript, exported by name, without a lifespan", async () => {
    const { container, lines } = start("named.mjs");
    const { origin } = await container.ready;
    expect(await (await fetch(origin)).text()).toBe("named");
    expect(lines).toEqual([]);
  });

  test.each(["SIGTERM", "SIGUSR1", "SIGHUP"] as const)(
    "shuts down at its stop signal, %s",
    async (stopSignal) => {
      const { container, lines } = start("app.ts", { stopSignal });
      await container.ready;
      await container.stop();
      expect(lines).toEqual(["lifespan.startup", "lifespan.shutdown"]);
      expect(await container.exited).toMatchObject({ code: 0 });
    },
  );

  test("ends at its stop signal while it starts", async () => {
    const { container, lines } = start("slow.ts", { stopSignal: "SIGUSR1" });
    await expect.poll(() => lines, { timeout: 15_000 }).toContain("starts");
    await container.stop();
    expect(await container.exited).toMatchObject({ code: 0 });
    expect(lines).toEqual(["starts"]);
    await expect(container.ready).rejects.toMatchObject({ code: "starting_failed" });
  });

  test("a call that does not end in time sees a disconnect before the shutdown", async () => {
    const { container, lines } = start("app.ts", { exitGracePeriod: 2 });
    const { origin } = await container.ready;
    const request = fetch(`${origin}/wait`).catch(() => "broken off");
    await expect.poll(() => lines, { timeout: 15_000 }).toContain("waits");
    await container.stop();
    expect(await request).toBe("broken off");
    expect(lines).toEqual(["lifespan.startup", "waits", "http.disconnect", "lifespan.shutdown"]);
  });

  test("tells when its work on a call has ended that was given up", async () => {
    const { container, lines } = start("app.ts");
    const { origin } = await container.ready;
    const connection = await RawConnection.connect(Number(new URL(origin).port));
    connection.send("GET /wait HTTP/1.1\r\nHost: app\r\nPostern-Call-Id: c-1\r\n\r\n");
    await expect.poll(() => lines, { timeout: 15_000 }).toContain("waits");
    let hasEnded = false;
    const ended = container.gaveUp("c-1").then(() => (hasEnded = true));
    // The channel is in order: an answer for this call comes behind what it has of the other.
    await container.gaveUp("c-2");
    expect(hasEnded).toBe(false);
    connection.reset();
    await ended;
    await expect.poll(() => lines, { timeout: 15_000 }).toContain("http.disconnect");
  });
});

describe("an app that does not start", () => {
  test.each([
    ["missing.ts", [`postern: there is no file missing.ts in ${DIRECTORY}`]],
    [
      "nothing.ts",
      [
        "postern: nothing.ts exports neither a default nor an app; export default async function app(scope, receive, send) { … }",
      ],
    ],
    [
      "number.ts",
      [
        "postern: number.ts exports a number; export default async function app(scope, receive, send) { … }",
      ],
    ],
    ["failing.ts", ["postern: the app failed to start: no GPU here"]],
  ])("%s ends in one line", async (file, expected) => {
    const { container, lines } = start(file);
    await expect(container.ready).rejects.toMatchObject({ code: "starting_failed" });
    expect(await container.exited).toMatchObject({ code: 1 });
    expect(lines).toEqual(expected);
  });

  test.each([
    ["that throws", 'throw new Error("no GPU here\\nat all");', "Error: no GPU here"],
    ["that is cut short", "\nexport default async function app( {", "SyntaxError"],
    ["with an enum", "\nenum Colour { red }", "SyntaxError"],
  ])("a file %s ends with the place of the mistake and one line", async (_, content, reason) => {
    const directory = temporaryDirectory();
    writeFileSync(join(directory, "app.ts"), content);
    const { container, lines } = start("app.ts", { directory });
    await expect(container.ready).rejects.toMatchObject({ code: "starting_failed" });
    expect(lines.join("\n")).toContain(`postern: importing app.ts failed: ${reason}`);
    expect(lines.join("\n")).toMatch(new RegExp(`${directory}/app\\.ts:\\d`));
  });
});

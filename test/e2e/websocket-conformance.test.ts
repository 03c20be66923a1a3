/**
 * What a WebSocket shows through the gateway is what it shows directly, except for a list of differences
 * whose causes stand in docs/websockets.md. A difference more fails, and so does one less.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { APPS, type Gateway, ROOT, startUp, upstream } from "../support/harness.ts";
import { ManagedProcess } from "../support/processes.ts";
import { freePort } from "../support/temporary.ts";
import { ensureVenv } from "../support/venv.ts";
import { APP_CASES } from "../support/websocket-app-cases.ts";
import { CLIENT_CASES } from "../support/websocket-cases.ts";
import {
  compare,
  type Difference,
  observeAppCase,
  observeClientCase,
} from "../support/websocket-conformance.ts";
import { type ScriptedApp, startScriptedApp } from "../support/websocket-script.ts";

/** One cause and the cases that show it. */
interface KnownCause {
  readonly cause: string;
  readonly seenBy: Difference["seenBy"];
  readonly cases: readonly string[];
  /** They show it at times. */
  readonly isRace?: boolean;
}

const KNOWN = JSON.parse(
  readFileSync(join(ROOT, "test/support/websocket-differences.json"), "utf8"),
) as KnownCause[];

/** The known differences among these cases, and the found ones, as comparable lines; races in neither. */
function lines(cases: readonly { id: string }[], found: readonly Difference[]) {
  const ids = new Set(cases.map(({ id }) => id));
  const linesOf = (causes: readonly KnownCause[]) =>
    causes.flatMap(({ seenBy, cases: all }) =>
      all.filter((id) => ids.has(id)).map((id) => `${id}, seen by the ${seenBy}`),
    );
  const races = new Set(linesOf(KNOWN.filter(({ isRace = false }) => isRace)));
  return {
    known: linesOf(KNOWN.filter(({ isRace = false }) => !isRace)).sort(),
    found: found
      .map((one) => `${one.case}, seen by the ${one.seenBy}`)
      .filter((line) => !races.has(line))
      .sort(),
  };
}

describe("WebSocket conformance", () => {
  let uvicorn: ManagedProcess;
  let uvicornPort: number;
  let scripted: ScriptedApp;
  let postern: Gateway;

  beforeAll(async () => {
    uvicornPort = await freePort();
    const python = await ensureVenv();
    const flags = ["--port", String(uvicornPort), "--app-dir", APPS, "--lifespan", "off"];
    uvicorn = new ManagedProcess([python, "-m", "uvicorn", ...flags, "websocket_app:app"]);
    await uvicorn.waitForErrorOutput(/Uvicorn running/);
    scripted = await startScriptedApp();
    postern = await startUp([
      upstream(scripted.port, { function: "scripted" }),
      upstream(uvicornPort, { function: "uvicorn" }),
    ]);
  });
  afterAll(async () => {
    await postern.stop();
    await scripted.close();
    await uvicorn.stop();
  });

  test("what a client does to an app under uvicorn, right or wrong, shows the same", async () => {
    const app = { port: uvicornPort, host: `localhost:${uvicornPort}` };
    const found = await compare(
      CLIENT_CASES,
      async (one) => await observeClientCase(app, app, one),
      async (one) => await observeClientCase(postern.address("uvicorn"), app, one),
    );
    const compared = lines(CLIENT_CASES, found);
    expect(compared.found, JSON.stringify(found, undefined, 1)).toEqual(compared.known);
  });

  test("what an app does to a client, right or wrong, shows the same", async () => {
    const app = { port: scripted.port, host: `localhost:${scripted.port}` };
    const found = await compare(
      APP_CASES,
      async (one) => await observeAppCase(app, scripted, one),
      async (one) => await observeAppCase(postern.address("scripted"), scripted, one),
    );
    const compared = lines(APP_CASES, found);
    expect(compared.found, JSON.stringify(found, undefined, 1)).toEqual(compared.known);
  });
});

test("every known difference is a case, and is explained in docs/websockets.md", () => {
  const ids = new Set([...CLIENT_CASES, ...APP_CASES].map(({ id }) => id));
  expect(ids.size).toBe(CLIENT_CASES.length + APP_CASES.length);
  const document = readFileSync(join(ROOT, "docs/websockets.md"), "utf8");
  for (const { cause, cases } of KNOWN) {
    expect(document).toContain(cause);
    for (const id of cases) {
      expect(ids).toContain(id);
      expect(document).toContain(`\`${id}\``);
    }
  }
});

/** Closed paths before a real app: the spellings of a path that FastAPI takes for it, and many that others do. */
import { afterAll, beforeAll, expect, test } from "vitest";

import { APPS, type Gateway, startUp } from "../support/harness.ts";
import { send } from "../support/http-client.ts";
import { ensureVenv } from "../support/venv.ts";

let postern: Gateway;
beforeAll(async () => {
  postern = await startUp([
    {
      function: "open",
      asgi: "paths_app:app",
      directory: APPS,
      python: await ensureVenv(),
      max_inputs: 100,
    },
    { function: "denied", containers_of: "open", paths: { deny: ["/sleep"] } },
    { function: "allowed", containers_of: "open", paths: { allow: ["/v1/*"] } },
  ]);
  await send(postern.address("open"), "/v1/models", { timeoutMs: 60_000 });
});
afterAll(async () => await postern.stop());

const ask = async (functionName: string, path: string) =>
  await send(postern.address(functionName), path);

/** The app runs its route for these. */
const TAKEN = ["/sleep", "/sleep?level=1", "/%73leep", "/sl%65%65p", "/sleep%0A"];

const OTHERS = ["/sleep/", "/SLEEP", "//sleep", "/v1/../sleep", "/v1/%2e%2e/sleep", "/sleep;a=1"];

test.each(TAKEN)(
  "the app itself takes %s for its path, and a closed one is not reached by it",
  async (path) => {
    const { status, text } = await ask("open", path);
    expect({ status, text }).toEqual({ status: 200, text: '"asleep"' });
    for (const closed of ["denied", "allowed"]) {
      const answer = await ask(closed, path);
      expect(answer.status).toBe(404);
      expect(answer.json()).toMatchObject({ code: "path_closed" });
    }
  },
);

test.each(OTHERS)("%s does not reach the app either", async (path) => {
  for (const closed of ["denied", "allowed"]) {
    expect((await ask(closed, path)).json()).toMatchObject({ code: "path_closed" });
  }
});

test("other paths are served as they are spelt", async () => {
  for (const functionName of ["open", "denied", "allowed"]) {
    for (const path of ["/v1/models", "/v1/mod%65ls", "/v1/models?next=/sleep"]) {
      expect((await ask(functionName, path)).text).toBe('"models"');
    }
  }
  expect((await ask("denied", "/sleepy")).json()).toEqual({ detail: "Not Found" });
});

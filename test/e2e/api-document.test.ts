/**
 * The API as its document says it: a public validator reads the document, and schemathesis asks every
 * operation in every way that the document allows and in many that it doesn't. It runs with an admin's
 * token, beside a box that serves.
 */
import { execFile } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";

import { startCommand, startUp, type Gateway, webServer } from "../support/harness.ts";
import { send } from "../support/http-client.ts";
import { temporaryDirectory } from "../support/temporary.ts";
import { ensureApiVenv } from "../support/venv.ts";

/** Of fuzzing; making and shrinking the cases takes most of it. */
const FUZZING_S = 40;

const CONFIGURATION = fileURLToPath(new URL("../support/schemathesis.toml", import.meta.url));

/** Those that end what the run stands on: its own token, and the box that it asks. */
const EXCLUDED = ["revokeApiToken", "revokeBox"];

let postern: Gateway;
let commands: string;
beforeAll(async () => {
  [postern, commands] = await Promise.all([startUp([webServer()]), ensureApiVenv()]);
  await send(postern.address(), "/json", { timeoutMs: 60_000 });
});
afterAll(async () => await postern.stop());

interface Outcome {
  readonly code: number;
  readonly output: string;
}

/** Runs a program to its end and keeps what it said. */
async function run(program: string, args: readonly string[]): Promise<Outcome> {
  return await new Promise((resolve) => {
    execFile(
      join(commands, program),
      args,
      { cwd: temporaryDirectory(), maxBuffer: 64 * 1024 * 1024, timeout: (FUZZING_S + 60) * 1000 },
      (error, stdout, stderr) => {
        const code = error === null ? 0 : typeof error.code === "number" ? error.code : 1;
        resolve({ code, output: stdout + stderr });
      },
    );
  });
}

async function document(): Promise<{ text: string; paths: Record<string, object> }> {
  const { status, text } = await send(postern.base, "/api/v1/openapi.json");
  expect(status).toBe(200);
  return { text, paths: (JSON.parse(text) as { paths: Record<string, object> }).paths };
}

async function adminToken(): Promise<string> {
  const state = ["--state", postern.stateDirectory];
  const created = startCommand(["token", "create", "--scope", "admin", "--json", ...state]);
  const { code } = await created.exited;
  expect({ code, stderr: created.stderr }).toMatchObject({ code: 0 });
  const { id, secret } = JSON.parse(created.stdout) as { id: string; secret: string };
  return `${id}.${secret}`;
}

test("the document is valid OpenAPI 3.1", async () => {
  const file = join(temporaryDirectory(), "openapi.json");
  writeFileSync(file, (await document()).text);
  expect(await run("openapi-spec-validator", ["--schema", "3.1", file])).toMatchObject({ code: 0 });
});

test("every operation is named in the document once", async () => {
  const operations = Object.values((await document()).paths).flatMap((path) =>
    Object.values(path as Record<string, { operationId: string }>).map((row) => row.operationId),
  );
  expect(operations.length).toBeGreaterThan(10);
  expect(new Set(operations).size).toBe(operations.length);
});

test(
  "schemathesis finds no server error and no answer that the document does not describe",
  { timeout: (FUZZING_S + 90) * 1000 },
  async () => {
    const { code, output } = await run("schemathesis", [
      "--config-file",
      CONFIGURATION,
      "run",
      `http://localhost:${postern.port}/api/v1/openapi.json`,
      "--header",
      `Authorization: Bearer ${await adminToken()}`,
      ...EXCLUDED.flatMap((id) => ["--exclude-operation-id", id]),
      "--max-time",
      String(FUZZING_S),
      // Fails by itself where a path's method is one that other checks have just used up.
      "--exclude-checks",
      "ignored_auth",
    ]);
    expect(code, output.slice(-8_000)).toBe(0);
    // On a quiet machine a thousand and more.
    expect(Number(/(\d+) generated/.exec(output)?.[1])).toBeGreaterThan(50);
  },
);

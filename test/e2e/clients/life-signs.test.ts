/**
 * Streams by the SDKs of OpenAI and Anthropic, at an endpoint with `life_signs`: an answer that takes 20 s comes after
 * several signs, and each SDK reads it, or raises what the app or Postern says. Each question is asked once.
 */
import { execFile } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";

import { installPatientLibraries } from "../../support/clients/clients.ts";
import { APPS, type Gateway, startUp } from "../../support/harness.ts";
import { open, send } from "../../support/http-client.ts";
import { ensureSessionsVenv } from "../../support/venv.ts";

const WORK_S = 20;
const SILENCE_S = 10;
const ASK_TIMEOUT_MS = 120_000;

const CLIENTS = fileURLToPath(new URL("../../support/clients", import.meta.url));

let python: string;
let node: string;
let postern: Gateway;
beforeAll(async () => {
  [python, node] = await Promise.all([ensureSessionsVenv("patient"), installPatientLibraries()]);
  postern = await startUp(
    [
      {
        function: "models",
        web_server: ["node", join(APPS, "patient-server.ts")],
        env: { WORK_SECONDS: String(WORK_S) },
        max_inputs: 100,
        life_signs: true,
      },
    ],
    { flags: ["--request-timeout", "2"] },
  );
});
afterAll(async () => await postern.stop());

/** What an SDK says of a question: the answer's text, or the error that it raised. */
async function ask(language: string, library: string, question: string): Promise<unknown> {
  const url = `http://${postern.address("models").host}`;
  const asked = [library, url, "none", question];
  const [program, ...args] =
    language === "Python"
      ? [python, join(CLIENTS, "patient_clients.py"), ...asked]
      : [process.execPath, join(CLIENTS, "patient-clients.mjs"), ...asked, node];
  const { stdout } = await promisify(execFile)(program, args, { timeout: ASK_TIMEOUT_MS });
  return JSON.parse(stdout);
}

const SDKS = ["openai_stream", "anthropic_stream"].flatMap((library) =>
  ["Python", "Node"].map((language) => ({ language, library })),
);

/** Any that an SDK has for an error without a status, or with that of the stream. */
const KIND = expect.stringMatching(/^API(?:Status)?Error$/);

test.concurrent.for(
  SDKS.flatMap((sdk) => [
    { ...sdk, begins: "fine", what: "reads an answer", outcome: undefined },
    { ...sdk, begins: "missing", what: "raises an error of the app", outcome: /no such model/ },
    {
      ...sdk,
      begins: "breaks",
      what: "raises an error of Postern's",
      outcome: /the app broke the exchange/,
    },
  ]),
)(
  "$library for $language $what, and asks once",
  async ({ language, library, begins, outcome }, { expect: expected }) => {
    const question = `${begins} ${library} ${language}`;
    const startedAt = performance.now();
    const said = await ask(language, library, question);
    expected(performance.now() - startedAt).toBeGreaterThan(WORK_S * 1_000);
    expected(said).toEqual(
      outcome === undefined
        ? { text: `${question} 1` }
        : { error: expect.stringMatching(outcome), kind: KIND },
    );
    const counts = (await send(postern.address("models"), "/counts")).json();
    expected(counts).toMatchObject({ [question]: 1 });
  },
);

test.concurrent("a client hears something at least every 10 s", async ({ expect: expected }) => {
  const body = JSON.stringify({ model: "heard", stream: true });
  const headers = { "content-type": "application/json" };
  const asked = { method: "POST", headers, body, timeoutMs: ASK_TIMEOUT_MS };
  let lastAt = performance.now();
  const gaps: number[] = [];
  let text = "";
  for await (const chunk of await open(postern.address("models"), "/v1/messages", asked)) {
    const now = performance.now();
    gaps.push(now - lastAt);
    lastAt = now;
    text += String(chunk);
  }
  expected(text).toMatch(/^(?:: waiting[^\n]*\n\n){2,}event: message_start\n/);
  expected(Math.max(...gaps)).toBeLessThan(SILENCE_S * 1_000);
});

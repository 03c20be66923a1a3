/** The command is stopped and started again: calls that were accepted and had not begun are run then. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, expect, test, vi } from "vitest";
import { type Gateway, startUp } from "../support/harness.ts";
import { send } from "../support/http-client.ts";
import { temporaryDirectory } from "../support/temporary.ts";

/** Notes each request in a file, and answers all but those for /hangs. */
const APP = `
  const { createServer } = require("node:http");
  const { appendFileSync } = require("node:fs");
  createServer(async (request, response) => {
    let bytes = 0;
    for await (const chunk of request) bytes += chunk.length;
    appendFileSync(process.env.RECEIVED, request.url + " " + bytes + "\\n");
    if (request.url !== "/hangs") response.end("got " + bytes);
  }).listen(process.env.PORT, "127.0.0.1");
`;

let postern: Gateway;
afterEach(async () => await postern.stop());

/** Begins an asynchronous call. @returns the path of its result URL */
async function accept(path: string, body: string): Promise<string> {
  const headers = { prefer: "respond-async" };
  const response = await send(postern.address(), path, { method: "POST", body, headers });
  expect(response.status).toBe(202);
  const { pathname, search } = new URL((response.json() as { result_url: string }).result_url);
  return pathname + search;
}

test("after a restart what waited is run once, and what ran is lost", async () => {
  const file = join(temporaryDirectory(), "received");
  const received = (): string[] => readFileSync(file, "utf8").trim().split("\n");
  const endpoints = [
    {
      function: "web",
      web_server: ["node", "-e", APP],
      env: { RECEIVED: file },
      max_inputs: 1,
      exit_grace_period: 1,
    },
  ];
  postern = await startUp(endpoints);
  const runs = await accept("/hangs", "x");
  await vi.waitFor(() => expect(received()).toEqual(["/hangs 1"]), 10_000);
  const waits = [await accept("/small", "question"), await accept("/large", "x".repeat(300_000))];
  await postern.stop();
  expect(received()).toEqual(["/hangs 1"]);

  postern = await startUp(endpoints, {
    port: postern.port,
    stateDirectory: postern.stateDirectory,
  });
  const get = async (path: string) => await send(postern.address(), path, { timeoutMs: 20_000 });
  const answers = await Promise.all(waits.map(get));
  expect(answers.map(({ text }) => text)).toEqual(["got 8", "got 300000"]);
  expect((await get(runs)).json()).toMatchObject({ code: "call_lost" });
  expect(received()).toEqual(["/hangs 1", "/small 8", "/large 300000"]);
});

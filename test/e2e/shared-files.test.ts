/** A file that a client uploads to one box, and a session on the other box: the call that names the file finds it. */
import { execFileSync } from "node:child_process";
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { stringify } from "smol-toml";
import { expect, onTestFinished, test, vi } from "vitest";
import { ownAccess } from "../../cli/access.ts";
import { type Gateway, startCommand, startGateway, WORKSPACE } from "../support/harness.ts";
import { send } from "../support/http-client.ts";
import type { ManagedProcess } from "../support/processes.ts";
import { temporaryDirectory } from "../support/temporary.ts";

const PATIENCE = { timeout: 30_000, interval: 200 };

/** As Gradio does: an upload gets a path below GRADIO_TEMP_DIR, and a call reads what a path names. */
const SERVER = `import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { text } from "node:stream/consumers";
createServer(async (request, response) => {
  const body = await text(request);
  response.setHeader("x-box", process.env.POSTERN_BOX);
  response.setHeader("content-type", "application/json");
  if (request.url.endsWith("/upload")) {
    const folder = process.env.GRADIO_TEMP_DIR + "/" + createHash("sha256").update(body).digest("hex");
    mkdirSync(folder, { recursive: true });
    writeFileSync(folder + "/in put.txt", body);
    response.end(JSON.stringify([folder + "/in put.txt"]));
  } else if (request.url.endsWith("/call/read")) {
    const { path } = JSON.parse(body).data[0];
    const isOwn = path.startsWith(process.env.GRADIO_TEMP_DIR + "/");
    response.end(JSON.stringify({ isOwn, read: readFileSync(path, "utf8"), uid: process.getuid() }));
  } else response.end("{}");
}).listen(process.env.PORT, "127.0.0.1");
`;

/** A directory that every user can enter, as those above a real state directory. */
function publicDirectory(): string {
  const directory = temporaryDirectory();
  chmodSync(directory, 0o755);
  return directory;
}

/** Starts a gateway with two boxes, and deploys the app to both. */
async function serve(flags: readonly string[]): Promise<Gateway> {
  const gateway = await startGateway();
  onTestFinished(async () => await gateway.stop());
  for (const name of ["gpu-1", "gpu-2"]) {
    const state = join(publicDirectory(), "state");
    const origin = startAs(gateway, ["origin", "--name", name, "--state", state, ...flags]);
    onTestFinished(() => origin.killTree());
    await origin.waitForErrorOutput(new RegExp(`${name} is connected`));
  }
  const directory = join(temporaryDirectory(), "studio");
  mkdirSync(directory);
  writeFileSync(join(directory, "server.mjs"), SERVER);
  const ui = {
    function: "ui",
    web_server: ["node", "server.mjs"],
    boxes: ["gpu-*"],
    affinity: "gradio",
    max_inputs: 20,
    min_containers: 2,
    max_containers: 2,
  };
  writeFileSync(join(directory, "postern.toml"), stringify({ app: "studio", endpoint: [ui] }));
  const deploy = startAs(gateway, ["deploy", join(directory, "postern.toml")]);
  await deploy.exited;
  expect(deploy.stderr).toContain("serves on gpu-1, gpu-2\n");
  return gateway;
}

/** A command on a machine of its own. */
function startAs(gateway: Gateway, args: readonly string[]): ManagedProcess {
  const { tokenId, tokenSecret } = ownAccess(gateway.stateDirectory);
  const env = {
    HOME: temporaryDirectory(),
    POSTERN_CONFIG_PATH: undefined,
    POSTERN_URL: `http://localhost:${gateway.port}`,
    POSTERN_TOKEN_ID: tokenId,
    POSTERN_TOKEN_SECRET: tokenSecret,
  };
  return startCommand(args, { env });
}

async function ask(gateway: Gateway, path: string, body: unknown) {
  const host = `${WORKSPACE}--studio-ui.localhost:${gateway.port}`;
  const answer = await send({ port: gateway.port, host }, `/gradio_api${path}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  return { answer, box: String(answer.headers["x-box"]) };
}

const OWN = { who: "the agent's user", flags: [], uid: process.getuid?.() };
/** Root alone can run apps as another user. */
const OTHERS =
  process.getuid?.() === 0
    ? [
        {
          who: "another user",
          flags: ["--run-as", "nobody"],
          uid: Number(execFileSync("id", ["-u", "nobody"])),
        },
      ]
    : [];

test.each([OWN, ...OTHERS])(
  "on whichever box the session is, in apps of $who",
  async ({ flags, uid }) => {
    const gateway = await serve(flags);
    // Sessions on both boxes.
    const places = new Map<string, string>();
    await vi.waitFor(async () => {
      const session = `s${places.size}-${Math.random()}`;
      const { box } = await ask(gateway, "/queue/join", { session_hash: session, data: [] });
      places.set(box, session);
      expect(places.size).toBe(2);
    }, PATIENCE);
    const uploaded = await ask(gateway, "/upload", "what the client uploaded");
    const [path] = uploaded.answer.json() as [string];
    for (const [box, session] of places) {
      const call = { session_hash: session, data: [{ path, orig_name: "in put.txt" }] };
      const { answer, box: called } = await ask(gateway, "/call/read", call);
      expect(called).toBe(box);
      expect(answer.json()).toEqual({ isOwn: true, read: '"what the client uploaded"', uid });
    }
  },
);

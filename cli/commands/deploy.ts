/** `postern deploy`: makes a version of an app and waits until it serves. */

import { GET_WORKSPACE } from "../../api/tokens.ts";
import { join } from "node:path";
import { CodeRefused, packCode, type PackedCode } from "../../origin-gpu/code/pack-code.ts";
import type { AppConfig } from "../../origin-gpu/config/config.ts";
import { ACCESS_NOTE, findAccess, STATE_OPTION, type Access } from "../access.ts";
import { readApp } from "../app-config.ts";
import { readIdentity } from "../box-identity.ts";
import { ApiClient } from "../client.ts";
import type { Command } from "../command.ts";
import { deploy } from "../deploy/deployment.ts";
import { showServing } from "../deploy/show.ts";
import { streamLogs } from "../deploy/streamed-logs.ts";
import { shownBytes } from "../deploy/upload-progress.ts";
import { needsCode, versionContent } from "../deploy/version-content.ts";
import { chooseEnvironment } from "../environment.ts";
import { CommandFailure, UsageError } from "../failure.ts";
import { DEFAULT_STATE } from "../gateway/settings.ts";
import { readRunning } from "../gateway/state-directory.ts";
import { gitCommit } from "../git.ts";
import { LineOwners } from "../logs/log-line.ts";
import { printedLogs } from "../logs/shown-logs.ts";
import { printNotice } from "../output.ts";
import { listenForStop } from "../stop-signals.ts";

const OPTIONS = {
  name: { type: "string", value: "APP", summary: "the app's name instead of the file's" },
  tag: { type: "string", value: "TAG", summary: "what the version is called in the history" },
  "stream-logs": {
    type: "boolean",
    summary: "show what the app's containers print from now on, until Ctrl-C",
  },
  timestamps: { type: "boolean", summary: "with --stream-logs: put each line's time before it" },
  ...STATE_OPTION,
} as const;

export const DEPLOY: Command<typeof OPTIONS> = {
  description: {
    name: "deploy",
    summary: "Deploys an app: a new version, which takes over when it is ready.",
    positionals: ["[postern.toml|app.py]"],
    options: OPTIONS,
    notes: [
      "Ctrl-C before the version starts takes it back; later it goes on without this command.",
      ACCESS_NOTE,
    ],
  },
  async run({ values, positionals: [file = "postern.toml"] }) {
    if (values.tag !== undefined && !/^[^\p{Cc}\p{Cs}]{1,64}$/u.test(values.tag)) {
      throw new UsageError(
        `--tag: ${JSON.stringify(values.tag)} is not 1 to 64 characters on one line`,
      );
    }
    if (values.timestamps === true && values["stream-logs"] !== true) {
      throw new UsageError("--timestamps: goes with --stream-logs, whose lines have times");
    }
    const source = await readApp(file, { environment: values.env, name: values.name });
    const { config } = source;
    const access = findAccess(values.state, process.env);
    const client = new ApiClient(access);
    await checkWorkspace(client, config);
    const environment = await chooseEnvironment(client, config.environment, process.env);
    const stop = listenForStop();
    void stop.insisted.then(() => process.exit(1));
    const code = needsCode(config) ? await packed(config.directory) : undefined;
    const { app } = config;
    let streaming: Promise<void> | undefined;
    const stream = (version: number): void => {
      const owners = new LineOwners(config.endpoints.map((endpoint) => endpoint.function));
      const shown = printedLogs({ ...values, owners }, stop);
      const how = { sinceMs: Date.now(), shown };
      streaming = streamLogs(client, { app, environment, version }, how);
      // Awaited when the version serves; one that does not serve has a reason of its own.
      streaming.catch(() => undefined);
    };
    try {
      const version = await deploy(
        {
          app,
          environment,
          request: {
            content: versionContent(source, code),
            deploying_box: boxHere(values.state ?? DEFAULT_STATE, access),
            tag: values.tag,
            commit: await gitCommit(config.directory),
          },
          code,
        },
        {
          client,
          stopped: stop.asked,
          notice: printNotice,
          onStarted: (version) => {
            if (values["stream-logs"] === true) stream(version);
          },
          progress: {
            isTerminal: process.stderr.isTTY,
            write: (text) => void process.stderr.write(text),
            now: () => performance.now(),
          },
        },
      );
      const deployed = { app, environment, version: version.version };
      const shown = { ...version, endpoints: version.endpoints.filter(isForTheWeb(config)) };
      await showServing(deployed, shown, { json: values.json === true, gatewayUrl: access.url });
      await streaming;
      return 0;
    } finally {
      await code?.close();
    }
  },
};

/** Functions that programs call with the app's token alone have URLs that nobody opens. */
function isForTheWeb({
  endpoints,
}: AppConfig): (endpoint: { readonly function: string }) => boolean {
  const inner = endpoints.filter(({ requiresAppToken }) => requiresAppToken);
  const names = new Set(inner.map((endpoint) => endpoint.function));
  return (endpoint) => !names.has(endpoint.function);
}

async function packed(directory: string): Promise<PackedCode> {
  try {
    const code = await packCode(directory);
    for (const line of code.skipped) printNotice(`left out ${line}`);
    const files = code.files === 1 ? "1 file" : `${code.files} files`;
    printNotice(`packed ${files} of ${directory}: ${shownBytes(code.bytes)}`);
    return code;
  } catch (error) {
    throw error instanceof CodeRefused ? new CommandFailure(error.message) : error;
  }
}

/** The box that this machine is at the gateway, by the agent's state directory. */
function boxHere(state: string, { url, connectTo }: Access): string | undefined {
  const identity = readIdentity(join(state, "box"));
  // Found by its own state directory, a gateway is the same one whatever its URL is today.
  const isOwn = connectTo !== undefined && readRunning(state)?.url === url;
  return isOwn || identity?.url === url ? identity?.box : undefined;
}

/** A file made for another workspace is not deployed into this one by a token that happens to be at hand. */
async function checkWorkspace(client: ApiClient, { file, workspace }: AppConfig): Promise<void> {
  if (workspace === undefined) return;
  const { name } = await client.call(GET_WORKSPACE, {});
  if (name === workspace) return;
  throw new CommandFailure(
    `${file} is for the workspace ${workspace}, and the token opens ${name}`,
  );
}

/**
 * `postern up`: a gateway and an agent in one process, for one app. Without a configuration it shows
 * the demo, so that the first thing a new user sees is alive.
 */

import { existsSync } from "node:fs";
import { rmSync } from "node:fs";
import { chmod, cp, mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, dirname, join, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { boxName, runUntilStopped, startAgentUnlessStopped } from "../agent.ts";
import { ownAccess } from "../access.ts";
import { readConfig } from "../app-config.ts";
import { enrolledBox } from "../box-identity.ts";
import type { Command } from "../command.ts";
import { lockDirectory } from "../directory-lock.ts";
import { namedEnvironment } from "../environment.ts";
import { startGateway } from "../gateway/gateway.ts";
import { reachableAddress } from "../gateway/plain-http.ts";
import { GATEWAY_OPTIONS, gatewaySettings } from "../gateway/settings.ts";
import { observer } from "../observer.ts";
import { printNotice } from "../output.ts";
import { printUrls, urlsOf } from "../printed-urls.ts";
import { appUserOf, noticeOfTrust, RUN_AS_OPTION } from "../run-as.ts";
import { answerUnlessStopped, listenForStop, unlessStopped } from "../stop-signals.ts";

const OPTIONS = {
  config: {
    type: "string",
    value: "FILE",
    summary: "the app's postern.toml (without it: the demo)",
  },
  ...RUN_AS_OPTION,
  ...GATEWAY_OPTIONS,
} as const;

const DEMO = fileURLToPath(new URL("../../origin-gpu/examples/demo/postern.toml", import.meta.url));

const DEMO_REQUEST = {
  path: "/v1/chat/completions",
  curlArguments: [
    "-N",
    "-H",
    "content-type: application/json",
    "-d",
    JSON.stringify({
      model: "wonderland",
      stream: true,
      messages: [{ role: "user", content: "Who keeps the gate?" }],
    }),
  ],
};

export const UP: Command<typeof OPTIONS> = {
  description: {
    name: "up",
    summary: "Runs a gateway and this machine's agent together, for one app.",
    positionals: [],
    options: OPTIONS,
    notes: ["Ctrl-C lets answers finish, then ends; a second one ends at once."],
  },
  async run({ values }) {
    const flags = gatewaySettings(values, process.env);
    const read = await readConfig(values.config ?? (await demoConfig()), values.env);
    const workspace = read.workspace ?? flags.workspace;
    const settings = { ...flags, workspace };
    const environment = namedEnvironment(read.environment, process.env) ?? "main";
    const config = { ...read, workspace, environment };
    if (values.config === undefined && existsSync("postern.toml")) {
      printNotice("this is the demo; --config postern.toml serves the app that is described here");
    }
    const appUser = await appUserOf(values["run-as"], settings.state);
    const stop = listenForStop();
    const gateway = await unlessStopped(startGateway(settings, observer), stop);
    try {
      const directory = join(settings.state, "box");
      lockDirectory(directory, () => "another agent");
      const enrolled = enrolledBox({
        access: ownAccess(settings.state),
        directory,
        name: boxName(),
        ownDomain: gateway.baseDomain,
      });
      const enrolment = await answerUnlessStopped(enrolled, stop);
      const agent = await startAgentUnlessStopped(
        {
          gatewayUrl: gateway.url,
          connectTo: () => `127.0.0.1:${gateway.workerdPort}`,
          enrolment,
          stateDirectory: directory,
          environmentsDirectory: join(settings.state, "environments"),
          dataDirectory: join(settings.state, "data"),
          appUser,
          announced: config,
          acceptsAssignments: true,
          observer,
        },
        stop,
      );
      noticeOfTrust(appUser, settings.state);
      const demo = values.config === undefined ? DEMO_REQUEST : {};
      const urls = urlsOf(agent, config, demo);
      const address = reachableAddress(settings.host);
      const { url: gatewayUrl, directUrl } = gateway;
      await printUrls(urls, { json: values.json === true, gatewayUrl, address, directUrl });
      return await runUntilStopped(agent, stop, {
        before: () => gateway.drain(),
        clients: "gone",
        after: () => gateway.stop(),
      });
    } finally {
      gateway.kill();
    }
  },
};

/** The demo's file; of an installed package a copy's, since Node runs no TypeScript under `node_modules`. */
async function demoConfig(): Promise<string> {
  if (!DEMO.includes(`${sep}node_modules${sep}`)) return DEMO;
  const copy = await mkdtemp(join(tmpdir(), "postern-demo-"));
  process.once("exit", () => rmSync(copy, { recursive: true, force: true }));
  await cp(dirname(DEMO), copy, { recursive: true });
  // The user of --run-as reads it too.
  await chmod(copy, 0o755);
  return join(copy, basename(DEMO));
}

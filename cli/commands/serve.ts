/** `postern serve`: this machine's agent alone, with an ephemeral app at a gateway that runs elsewhere. */

import { rmSync } from "node:fs";
import { mkdtemp } from "node:fs/promises";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { checkDevSuffix, DEFAULT_DEV_SUFFIX } from "../../routing/names.ts";
import { boxName, printUrls, runUntilStopped, startAgentUnlessStopped, urlsOf } from "../agent.ts";
import { readConfig } from "../app-config.ts";
import type { Command } from "../command.ts";
import { Failure, UsageError } from "../failure.ts";
import { DEFAULT_STATE } from "../gateway/settings.ts";
import { findBoxSecret, findGateway } from "../gateway/nearby.ts";
import { printNotice } from "../output.ts";
import { listenForStop } from "../stop-signals.ts";

/** Leaves room for "-dev" in a box name of 64 characters. */
const MAX_HOST_CHARACTERS = 60;

const OPTIONS = {
  state: {
    type: "string",
    value: "DIRECTORY",
    summary: `the state directory of a gateway on this machine (${DEFAULT_STATE})`,
  },
  timeout: { type: "string", value: "SECONDS", summary: "", notYet: true },
} as const;

export const SERVE: Command<typeof OPTIONS> = {
  description: {
    name: "serve",
    summary: "Serves an ephemeral app from this machine: dev URLs, gone at Ctrl-C.",
    positionals: ["[postern.toml]"],
    options: OPTIONS,
    notes: [
      "The gateway is POSTERN_URL, or the one that runs on --state.",
      "The box's secret is POSTERN_BOX_SECRET, or the one in --state.",
    ],
  },
  async run({ values, positionals: [file = "postern.toml"] }) {
    if (file.endsWith(".py"))
      throw new Failure(`serve ${file}: not available yet; write a postern.toml`);
    const devSuffix = checkDevSuffix(process.env["POSTERN_DEV_SUFFIX"] ?? DEFAULT_DEV_SUFFIX);
    if (!devSuffix.ok) throw new UsageError(`POSTERN_DEV_SUFFIX: ${devSuffix.reason}`);
    const state = values.state ?? DEFAULT_STATE;
    const gateway = findGateway(state, process.env);
    const boxSecret = findBoxSecret(state, process.env);
    const config = await readConfig(file, values.env);
    const stop = listenForStop();
    // An ephemeral app's answers go with it.
    const scratch = await mkdtemp(join(tmpdir(), "postern-serve-"));
    process.once("exit", () => rmSync(scratch, { recursive: true, force: true }));
    const agent = await startAgentUnlessStopped(
      {
        gatewayUrl: gateway.url,
        ...(gateway.workerdPort === undefined
          ? {}
          : { connectTo: `127.0.0.1:${gateway.workerdPort}` }),
        // Beside a box that `up` runs on the same machine, and on every day the same.
        boxName: boxName(`${hostname().slice(0, MAX_HOST_CHARACTERS)}-dev`),
        boxSecret,
        stateDirectory: scratch,
        config,
        devSuffix: devSuffix.value,
        log: printNotice,
      },
      stop,
    );
    const address = "127.0.0.1";
    await printUrls(urlsOf(agent, config), {
      json: values.json === true,
      gatewayUrl: gateway.url,
      address,
    });
    return runUntilStopped(agent, stop);
  },
};

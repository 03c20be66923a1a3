/** `postern serve`: this machine's agent alone, with an ephemeral app at a gateway that runs elsewhere. */

import { randomBytes } from "node:crypto";
import { rmSync } from "node:fs";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { checkDevSuffix, DEFAULT_DEV_SUFFIX } from "../../routing/names.ts";
import { boxName, printUrls, runUntilStopped, startAgentUnlessStopped, urlsOf } from "../agent.ts";
import { ACCESS_NOTE, findAccess, STATE_OPTION } from "../access.ts";
import { readConfig } from "../app-config.ts";
import { ephemeralBox } from "../box-identity.ts";
import type { Command } from "../command.ts";
import { Failure, UsageError } from "../failure.ts";
import { DEFAULT_STATE } from "../gateway/settings.ts";
import { printNotice } from "../output.ts";
import { listenForStop } from "../stop-signals.ts";

/** Leaves room for "-dev-" and six digits in a box name of 64 characters. */
const MAX_HOST_CHARACTERS = 53;

const OPTIONS = {
  ...STATE_OPTION,
  timeout: { type: "string", value: "SECONDS", summary: "", notYet: true },
} as const;

export const SERVE: Command<typeof OPTIONS> = {
  description: {
    name: "serve",
    summary: "Serves an ephemeral app from this machine: dev URLs, gone at Ctrl-C.",
    positionals: ["[postern.toml]"],
    options: OPTIONS,
    notes: [ACCESS_NOTE],
  },
  async run({ values, positionals: [file = "postern.toml"] }) {
    if (file.endsWith(".py"))
      throw new Failure(`serve ${file}: not available yet; write a postern.toml`);
    const devSuffix = checkDevSuffix(process.env["POSTERN_DEV_SUFFIX"] ?? DEFAULT_DEV_SUFFIX);
    if (!devSuffix.ok) throw new UsageError(`POSTERN_DEV_SUFFIX: ${devSuffix.reason}`);
    const access = findAccess(values.state, process.env);
    const config = await readConfig(file, values.env);
    const stop = listenForStop();
    const host = boxName().slice(0, MAX_HOST_CHARACTERS);
    const enrolment = await ephemeralBox(access, `${host}-dev-${randomBytes(3).toString("hex")}`);
    // An ephemeral app's answers go with it.
    const scratch = await mkdtemp(join(tmpdir(), "postern-serve-"));
    process.once("exit", () => rmSync(scratch, { recursive: true, force: true }));
    const agent = await startAgentUnlessStopped(
      {
        gatewayUrl: access.url,
        ...(access.connectTo === undefined ? {} : { connectTo: access.connectTo }),
        enrolment,
        stateDirectory: scratch,
        // Kept: packages take minutes, and the next start wants the same.
        environmentsDirectory: join(values.state ?? DEFAULT_STATE, "environments"),
        announced: config,
        devSuffix: devSuffix.value,
        log: printNotice,
      },
      stop,
    );
    const address = "127.0.0.1";
    await printUrls(urlsOf(agent, config), {
      json: values.json === true,
      gatewayUrl: access.url,
      address,
    });
    return runUntilStopped(agent, stop);
  },
};

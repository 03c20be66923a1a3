/** `postern serve`: this machine's agent alone, with an ephemeral app at a gateway that runs elsewhere. */

import { resolve } from "node:path";
import { notCodeOf } from "../../origin-gpu/code/not-code.ts";
import type { AppConfig } from "../../origin-gpu/config/config.ts";
import { runUntilStopped } from "../agent.ts";
import { ACCESS_NOTE, findAccess, STATE_OPTION } from "../access.ts";
import { readConfig } from "../app-config.ts";
import { ApiClient } from "../client.ts";
import type { Command } from "../command.ts";
import { chooseEnvironment } from "../environment.ts";
import { devSuffixOf, startEphemeralApp } from "../ephemeral-app.ts";
import { CommandFailure, UsageError } from "../failure.ts";
import { DEFAULT_STATE } from "../gateway/settings.ts";
import { observer } from "../observer.ts";
import { printNotice } from "../output.ts";
import { printUrls, urlsOf } from "../printed-urls.ts";
import { Reloader } from "../reload.ts";
import { appUserOf, noticeOfTrust, RUN_AS_OPTION } from "../run-as.ts";
import { listenForStop, stopAfter } from "../stop-signals.ts";
import { type IsIgnored, watchFiles, type Watcher } from "../watch.ts";

/** As long as a timer can wait: 24 days. */
const MAX_TIMEOUT_S = 2_000_000;

const OPTIONS = {
  ...RUN_AS_OPTION,
  ...STATE_OPTION,
  timeout: { type: "string", value: "SECONDS", summary: "end after so long (it does not end)" },
} as const;

export const SERVE: Command<typeof OPTIONS> = {
  description: {
    name: "serve",
    summary:
      "Serves an ephemeral app from this machine: dev URLs, new at each edit, gone at Ctrl-C.",
    positionals: ["[postern.toml | app.py]"],
    options: OPTIONS,
    notes: [
      "When files change, a new version starts and takes over; one that fails leaves the old one serving.",
      "POSTERN_DEBUG=versions names those files. Files that .gitignore or .posternignore names do not count.",
      ACCESS_NOTE,
    ],
  },
  async run({ values, positionals: [file = "postern.toml"] }) {
    const devSuffix = devSuffixOf(process.env);
    const timeout = secondsOf(values.timeout);
    const state = resolve(values.state ?? DEFAULT_STATE);
    const appUser = await appUserOf(values["run-as"], state);
    const access = findAccess(values.state, process.env);
    const first = await readConfig(file, values.env);
    const client = new ApiClient(access);
    const environment = await chooseEnvironment(client, first.environment, process.env);
    // A later edit that names no environment keeps the chosen one.
    const placed = (read: AppConfig): AppConfig => ({ environment, ...withoutDomains(read) });
    const config = placed(first);
    const signals = listenForStop();
    const stop = timeout === undefined ? signals : stopAfter(signals, timeout);
    const agent = await startEphemeralApp({ access, config, state, appUser, devSuffix, stop });
    if (access.state !== undefined) noticeOfTrust(appUser, access.state);
    const print = async (served: AppConfig): Promise<void> => {
      const urls = urlsOf(agent, served);
      const asJson = values.json === true;
      await printUrls(urls, { json: asJson, gatewayUrl: access.url, address: "127.0.0.1" });
    };
    let printed = JSON.stringify(agent.urls);
    const reloader = new Reloader({
      agent,
      read: async () => placed(await readConfig(file, values.env)),
      async onReloaded(served) {
        if (JSON.stringify(agent.urls) === printed) return;
        printed = JSON.stringify(agent.urls);
        await print(served);
      },
      log: printNotice,
    });
    const watcher = await watchApp(file, config, reloader);
    await print(config);
    return await runUntilStopped(agent, stop, {
      async before() {
        await watcher.close();
        await reloader.close();
      },
    });
  },
};

/** Everything that the app is made of, as a deploy would take it, and the file that describes it. */
async function watchApp(file: string, config: AppConfig, reloader: Reloader): Promise<Watcher> {
  const roots = new Set([
    config.directory,
    ...config.endpoints.flatMap(({ kind, directory }) =>
      kind.type === "upstream" ? [] : [directory],
    ),
  ]);
  const directories = new Map<string, IsIgnored>();
  for (const root of roots) directories.set(root, await notCodeOf(root));
  return await watchFiles({
    directories,
    files: [resolve(file)],
    onChange(paths) {
      if (observer.debug.versions) {
        for (const path of paths) observer.emit("file.changed", { path });
      }
      reloader.reload();
    },
    onError(reason) {
      printNotice(`postern: changes are not noticed any more (${reason}); start serve again`);
    },
  });
}

/** Seconds, fractions allowed; a UsageError for what is none. */
function secondsOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const seconds = /^\d{1,7}(\.\d{1,3})?$/.test(text) ? Number(text) : 0;
  if (seconds > 0 && seconds <= MAX_TIMEOUT_S) return seconds;
  throw new UsageError(
    `--timeout: "${text}" is not a number of seconds up to ${MAX_TIMEOUT_S}, e.g. 600`,
  );
}

/** A domain that people use is not for trying things out. @throws CommandFailure where an endpoint has one */
function withoutDomains(config: AppConfig): AppConfig {
  const named = config.endpoints.find(({ customDomains }) => customDomains !== undefined);
  if (named === undefined) return config;
  throw new CommandFailure(
    `${config.file}: endpoint.${named.function}.custom_domains: serve takes none; deploy the app`,
  );
}

/** An app that lives as long as its command: a box of its own serves it, under dev names. */
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import type { RunningAgent } from "../origin-gpu/agent.ts";
import type { AppUser } from "../origin-gpu/app-user.ts";
import type { AppConfig } from "../origin-gpu/config/config.ts";
import { checkDevSuffix, DEFAULT_DEV_SUFFIX } from "../routing/names.ts";
import { boxName, startAgentUnlessStopped } from "./agent.ts";
import { type Access, agentConnectTo } from "./access.ts";
import { ephemeralBox } from "./box-identity.ts";
import { UsageError } from "./failure.ts";
import { observer } from "./observer.ts";
import { scratchDirectory } from "./scratch-directory.ts";
import { answerUnlessStopped, type StopSignals } from "./stop-signals.ts";

/** Leaves room for "-dev-" and six digits in a box name of 64 characters. */
const MAX_HOST_CHARACTERS = 53;

export interface EphemeralApp {
  readonly access: Access;
  readonly config: AppConfig;
  /** The state directory, where Python environments are kept. */
  readonly state: string;
  readonly appUser: AppUser | undefined;
  /** Of its labels. */
  readonly devSuffix: string;
  readonly stop: StopSignals;
}

/** `POSTERN_DEV_SUFFIX`, or `dev`. @throws UsageError */
export function devSuffixOf(environment: Readonly<Record<string, string | undefined>>): string {
  const checked = checkDevSuffix(environment["POSTERN_DEV_SUFFIX"] || DEFAULT_DEV_SUFFIX);
  if (!checked.ok) throw new UsageError(`POSTERN_DEV_SUFFIX: ${checked.error}`);
  return checked.value;
}

/** Starts the box and its agent; resolves when the gateway has told the app's URLs. @throws CommandFailure */
export async function startEphemeralApp(app: EphemeralApp): Promise<RunningAgent> {
  const { access, config, state, appUser, devSuffix, stop } = app;
  const host = boxName().slice(0, MAX_HOST_CHARACTERS);
  const enrolled = ephemeralBox(access, `${host}-dev-${randomBytes(3).toString("hex")}`);
  const enrolment = await answerUnlessStopped(enrolled, stop);
  // An ephemeral app's answers go with it.
  const scratch = await scratchDirectory("postern-serve-");
  const connectTo = agentConnectTo(access);
  return await startAgentUnlessStopped(
    {
      gatewayUrl: access.url,
      ...(connectTo && { connectTo }),
      enrolment,
      stateDirectory: scratch,
      // Kept: packages take minutes, and the next start wants the same.
      environmentsDirectory: join(state, "environments"),
      dataDirectory: join(state, "data"),
      appUser,
      announced: withoutDomains(config),
      devSuffix,
      observer,
    },
    stop,
  );
}

/** Dev names alone serve it: `postern run` of an app with custom domains leaves them where they are. */
function withoutDomains(config: AppConfig): AppConfig {
  const endpoints = config.endpoints.map((endpoint) => {
    const { customDomains: _customDomains, ...rest } = endpoint;
    return rest;
  });
  return { ...config, endpoints };
}

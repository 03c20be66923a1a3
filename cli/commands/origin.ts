/**
 * `postern origin`: this machine as a box. Its agent runs what is deployed for it, for as long as the
 * command does; how the machine came to be a box is kept in the state directory.
 */

import { dirname, join, resolve } from "node:path";
import { isObjectName } from "../../routing/names.ts";
import { ACCESS_NOTE, agentConnectTo, findAccess, gatewayUrl } from "../access.ts";
import { boxName, runUntilStopped, startAgentUnlessStopped } from "../agent.ts";
import { enrolledBox, readIdentity, type StoredBoxIdentity } from "../box-identity.ts";
import type { Command } from "../command.ts";
import { lockDirectory } from "../directory-lock.ts";
import { UsageError } from "../failure.ts";
import { DEFAULT_STATE } from "../gateway/settings.ts";
import { readRunning } from "../gateway/state-directory.ts";
import { observer, stampLines } from "../observer.ts";
import { printJson, printNotice } from "../output.ts";
import { resolves } from "../printed-urls.ts";
import { appUserOf, noticeOfTrust, RUN_AS_OPTION } from "../run-as.ts";
import { answerUnlessStopped, listenForStop } from "../stop-signals.ts";

const OPTIONS = {
  name: { type: "string", value: "BOX", summary: "the box's name (this machine's)" },
  region: { type: "string", value: "REGION", summary: "where it stands, e.g. eu-west" },
  ...RUN_AS_OPTION,
  state: {
    type: "string",
    value: "DIRECTORY",
    summary: `what the box keeps, in its folder box (${DEFAULT_STATE}); may be a gateway's`,
  },
} as const;

export const ORIGIN: Command<typeof OPTIONS> = {
  description: {
    name: "origin",
    summary: "Runs this machine as a box: it takes what is deployed for it.",
    positionals: [],
    options: OPTIONS,
    noEnvironment: "a box runs what is deployed for it in every environment of its workspace",
    notes: [
      "Ctrl-C lets answers finish, then ends; a second one ends at once.",
      "SIGUSR2 lets answers finish, then ends; containers of deployed apps run on for 60 s, for a next start.",
      "The first start enrols the box with an API token; later ones need none.",
      ACCESS_NOTE,
    ],
  },
  async run({ values }) {
    const { name, region } = values;
    if (name !== undefined && !isObjectName(name)) {
      throw new UsageError(`--name: "${name}" is not 1 to 64 of letters, digits, "-", "." and "_"`);
    }
    if (region !== undefined && !/^[a-z0-9-]{1,64}$/.test(region)) {
      throw new UsageError(`--region: "${region}" is not 1 to 64 of a-z, digits and "-"`);
    }
    const state = resolve(values.state ?? DEFAULT_STATE);
    const directory = join(state, "box");
    const appUser = await appUserOf(values["run-as"], state);
    lockDirectory(directory, () => "another agent");
    const stop = listenForStop({ handsOver: true });
    const { identity, ...gateway } = await answerUnlessStopped(whoIsHere(values, directory), stop);
    // From here on it waits for its gateway for as long as that takes.
    stampLines();
    const agent = await startAgentUnlessStopped(
      {
        ...gateway,
        enrolment: identity,
        region: identity.region,
        stateDirectory: directory,
        environmentsDirectory: join(state, "environments"),
        dataDirectory: join(state, "data"),
        appUser,
        acceptsAssignments: true,
        observer,
      },
      stop,
    );
    noticeOfTrust(appUser, state);
    if (values.json === true) printJson({ box: identity.box, gateway: gateway.gatewayUrl });
    else printNotice(`${identity.box} is connected to ${gateway.gatewayUrl}`);
    return await runUntilStopped(agent, stop);
  },
};

interface Chosen {
  readonly name?: string;
  readonly region?: string;
  readonly state?: string;
}

interface Here {
  readonly identity: StoredBoxIdentity;
  readonly gatewayUrl: string;
  /** Where the gateway is dialled, if not at its URL. */
  readonly connectTo?: () => string;
}

/** The box that this machine is, enrolled where it is none yet; its own identity needs no token. */
async function whoIsHere({ name, region, state }: Chosen, directory: string): Promise<Here> {
  const url = gatewayUrl(process.env);
  const running = readRunning(dirname(directory));
  const present = readIdentity(directory);
  if (
    running === undefined &&
    present !== undefined &&
    (url ?? present.url) === present.url &&
    (name ?? present.box) === present.box &&
    (region ?? present.region) === present.region
  ) {
    return { identity: present, gatewayUrl: present.url };
  }
  // A directory that only a box has its state in leads to no gateway.
  const access = findAccess(running === undefined ? undefined : state, process.env);
  const isOwn = access.connectTo !== undefined && access.url === running?.url;
  const identity = await enrolledBox({
    access,
    directory,
    name: name ?? present?.box ?? boxName(),
    region,
    ...(isOwn ? { ownDomain: running.baseDomain } : {}),
  });
  const connectTo = agentConnectTo(access);
  // Past the front only where this machine can't resolve the gateway's name.
  const isKnown = connectTo === undefined || (await resolves(new URL(access.url).hostname));
  return { identity, gatewayUrl: access.url, ...(isKnown ? {} : { connectTo }) };
}

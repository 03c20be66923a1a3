/** The records, lookups and notifications that the parts of a workspace's control plane share. */
import { err, type Err } from "../../../base/result.ts";
import type { Refusal } from "../../../routing/wire/errors.ts";
import { domainOfRoute, domainRoute } from "../../../routing/domains.ts";
import type { Claimant } from "../../../routing/claims.ts";
import type { Held } from "../../contracts/names.ts";
import type { App, AppRecords } from "./app-records.ts";
import type { AppNames, NamesClient } from "./app-names.ts";
import type { Boxes } from "./boxes.ts";
import type { FormerBoxSets } from "./former-boxes.ts";
import type { Scalings } from "./scalings.ts";
import type { VersionBoxes } from "./version-boxes.ts";
import type { Versions } from "./versions.ts";

export interface Control {
  readonly workspace: string;
  /** Below it are the endpoints' URLs: scheme, `://` comes before the name and this behind it. */
  readonly baseDomain: string;
  readonly scheme: "http" | "https";
  readonly storage: DurableObjectStorage;
  readonly apps: AppRecords;
  readonly versions: Versions;
  readonly versionBoxes: VersionBoxes;
  readonly scalings: Scalings;
  readonly names: AppNames;
  readonly boxSets: FormerBoxSets;
  readonly registry: NamesClient;
  readonly boxes: Boxes;
  /** Whether a box is connected, asked where it is known. */
  readonly isConnected: (box: string) => Promise<boolean>;
  /** An environment's web suffix; undefined where there is no such environment. */
  readonly suffixOf: (environment: string) => string | undefined;
  /** The first of these custom domains that the workspace has not; undefined where it has them all. */
  readonly unknownDomain: (domains: readonly string[]) => string | undefined;
  /** Why some of these secrets cannot be given to an app of the environment, each in one line. */
  readonly secretProblems: (environment: string, names: readonly string[]) => Promise<string[]>;
  /** Tells a box that it is to ask for its assignments. */
  readonly notify: (box: string) => void;
  /** Something is to be told or to be looked after later: names, deadlines. */
  readonly changed: () => void;
}

export function urlOf({ scheme, baseDomain }: Control, name: string): string {
  return `${scheme}://${name}.${baseDomain}`;
}

export function claimantOf({ workspace }: Control, app: App): Claimant {
  return { owner: app.id, workspace, kind: app.kind, startedAt: app.createdAt };
}

/** The names of an endpoint in the registry: its own, and its routes at custom domains. */
export function namesOfEndpoint(
  { workspace }: Control,
  {
    name,
    customDomains = [],
  }: { readonly name: string; readonly customDomains?: readonly string[] },
): string[] {
  return [name, ...customDomains.map((domain) => domainRoute(workspace, domain))];
}

/** Why a name can't be had. Only of the workspace's own apps it is said which one has it. */
export function heldRefusal(control: Control, registered: string, held: Held): Err<Refusal> {
  const { apps, workspace } = control;
  const domain = domainOfRoute(registered);
  const name = domain ?? registered;
  const another = domain === undefined ? "another label" : "another domain";
  const holder = apps.find(held.owner);
  if (holder === undefined) return labelHeld(`${name} is taken; choose ${another}`);
  const app = `${holder.name} in environment ${holder.environment}`;
  switch (holder.kind) {
    case "deployed":
      return labelHeld(
        `${name} belongs to the deployed app ${app} of workspace ${workspace}; ` +
          `stop it (postern app stop ${holder.name} -e ${holder.environment}) or choose ${another}`,
      );
    case "in_place":
      return labelHeld(`${name} belongs to ${app}, which box ${holder.box} serves in place`);
    case "ephemeral":
      return labelHeld(`${name} was taken by a newer serve, of ${app} on box ${holder.box}`);
  }
}

function labelHeld(detail: string): Err<Refusal> {
  return err({ code: "label_held", detail });
}

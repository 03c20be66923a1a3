/** The contract of `Workspace`, the object that owns one workspace: its methods and what they take and return. */
import { err, type Err, type Result } from "../../base/result.ts";
import type { Refusal } from "../../routing/wire/errors.ts";
import type { ProxyToken } from "../../auth/proxy-authorization.ts";
import type { Variables } from "../../auth/secrets.ts";
import type { Scope } from "../../api/scopes.ts";
import type { AppKind } from "../../routing/claims.ts";
import type { BoxReport, VersionContent, VersionState } from "../../routing/wire/deployments.ts";
import type { EndpointAnnouncement, Welcome } from "../../routing/wire/messages.ts";
import type { VersionStatus } from "../../api/version-status.ts";
import type { AppState } from "../../api/app-states.ts";
import type { BoxPlace } from "./names.ts";

/** A token's last use is known to within this time, so that no request costs a write. */
export const LAST_USE_RESOLUTION_MS = 10 * 60_000;

/** Times are milliseconds of the epoch. */
export interface AppView {
  readonly id: string;
  readonly name: string;
  readonly environment: string;
  readonly kind: AppKind;
  readonly state: AppState;
  /** The one that serves. */
  readonly version: number | null;
  /** The one that is to. */
  readonly candidate: number | null;
  readonly endpoints: readonly EndpointView[];
  readonly boxes: readonly string[];
  readonly createdAt: number;
  readonly stoppedAt: number | null;
}

export interface EndpointView {
  readonly function: string;
  readonly url: string;
  readonly private: boolean;
}

export interface VersionView {
  readonly version: number;
  readonly status: VersionStatus;
  readonly detail: string;
  readonly lines: readonly string[];
  readonly createdAt: number;
  readonly createdBy: Author;
  readonly tag: string;
  readonly commit: string;
  readonly rollbackOf: number | null;
  readonly endpoints: readonly EndpointView[];
  readonly boxes: readonly BoxView[];
}

export interface BoxView {
  readonly name: string;
  readonly connected: boolean;
  /** Whether the version's code is on its disk; without code there is none to lack. */
  readonly hasCode: boolean;
  readonly state: VersionState | null;
  readonly detail: string;
}

/** How people and programs name an app. */
export interface AppAddress {
  /** A name, or an id. */
  readonly app: string;
  /** Says nothing where `app` is an id. */
  readonly environment: string;
}

/** What a link says when it comes up. */
export interface Greeting extends LinkGreeting {
  /** Link 0 alone: everything that the box serves without a deployment. */
  readonly endpoints: readonly EndpointAnnouncement[] | undefined;
}

/** What people see of a box. Times are milliseconds of the epoch. */
export interface BoxInfo {
  readonly name: string;
  /** Empty: none was given. */
  readonly region: string;
  /** Enrolled for as long as it is connected. */
  readonly ephemeral: boolean;
  readonly createdAt: number;
  readonly createdBy: string;
  /** The agent's version when it connected last; empty before. */
  readonly agent: string;
  /** How many links it keeps. */
  readonly links: number;
  /** Since when it has been connected; null while it is not. */
  readonly connectedAt: number | null;
  /** When it was last known to be connected; null if never. */
  readonly lastSeenAt: number | null;
}

/** One link of a box, as its `Origin` object knows it. */
export interface BoxLink {
  readonly box: string;
  readonly link: number;
  /** The agent process behind it. */
  readonly incarnation: string;
}

/** What an agent says of itself when a link comes up. */
export interface LinkGreeting extends BoxLink {
  readonly serial: string;
  readonly agent: string;
  readonly links: number;
}

export interface NewBox {
  readonly name: string;
  readonly region: string;
  readonly ephemeral: boolean;
}

export interface NewDeployment extends StagedContent {
  readonly app: AppAddress;
}

export interface VersionAddress {
  readonly app: AppAddress;
  readonly version: number;
}

export interface Author {
  readonly id: string;
  readonly name: string;
}

/** What people see of a token once it is made. Times are milliseconds of the epoch. */
export interface ApiTokenInfo {
  readonly id: string;
  readonly name: string;
  readonly scope: Scope;
  readonly createdAt: number;
  readonly createdBy: string;
  readonly expiresAt: number | null;
  readonly lastUsedAt: number | null;
}

export interface NewApiToken {
  readonly name: string;
  readonly scope: Scope;
  readonly expiresAt: number | null;
}

export type EnvironmentChange = Partial<NewEnvironment>;

/** Times are milliseconds of the epoch. */
export interface EnvironmentInfo {
  readonly name: string;
  /** Follows the workspace's name in URLs, normalised; empty for one environment at most. */
  readonly webSuffix: string;
  readonly createdAt: number;
  readonly createdBy: string;
}

export interface NewEnvironment {
  readonly name: string;
  /** Undefined: the name, normalised. */
  readonly webSuffix: string | undefined;
}

/** Lists in pages, newest first: the cursor is the number of the last row that was given. */

export interface Page<Item> {
  readonly items: Item[];
  /** Undefined on the last page. */
  readonly nextCursor?: number | undefined;
}

export interface PageRequest {
  readonly limit: number;
  /** From an earlier page; undefined: the first one. */
  readonly cursor?: number | undefined;
}

export interface NewProxyToken {
  readonly name: string;
  readonly environments: readonly string[];
  readonly apps: readonly string[];
  readonly expiresAt: number | null;
}

/** What people see of a token once it is made. Times are milliseconds of the epoch. */
export interface ProxyTokenInfo {
  readonly id: string;
  readonly name: string;
  readonly environments: string[];
  readonly apps: string[];
  readonly createdAt: number;
  readonly createdBy: string;
  readonly expiresAt: number | null;
  readonly lastUsedAt: number | null;
}

export interface NewSecret {
  readonly environment: string;
  readonly name: string;
  readonly variables: Readonly<Variables>;
  /** Whether one that is there is replaced, or the new one refused. */
  readonly replace: boolean;
}

/** Secrets with their values, and why others are not among them. */
export interface ReadSecrets {
  readonly values: Record<string, Variables>;
  readonly problems: string[];
}

/** What people see of a secret. Times are milliseconds of the epoch. */
export interface SecretInfo {
  readonly name: string;
  /** The names of its variables. */
  readonly variables: string[];
  /** False where the gateway's key is another one than the secret was made under. */
  readonly readable: boolean;
  readonly createdAt: number;
  readonly updatedAt: number;
  /** The API token that set the values. */
  readonly updatedBy: string;
}

/** What the edge knows of a workspace's locks; `version` changes with every change. */
export interface Credentials {
  readonly version: number;
  readonly tokens: Map<string, ProxyToken>;
}

/** A token as it is shown once. */
export type Shown<Info> = Info & { readonly secret: string };

export interface StagedContent {
  readonly content: VersionContent;
  /** The box that `postern deploy` runs on, if it is one. */
  readonly deployingBox: string | undefined;
  readonly tag: string;
  readonly commit: string;
  readonly by: Author;
}

/** An enrolment as it is shown once. */
export interface Enrolment {
  readonly box: BoxInfo;
  readonly serial: string;
  readonly key: string;
}

export interface WorkspaceRpc extends Rpc.DurableObjectBranded {
  /** What the edge needs to know; undefined when that is what it knows already. */
  credentials(known?: number): Credentials | undefined;
  /** One proxy token, for an id that is newer than the edge's knowledge; undefined when it is gone. */
  proxyToken(id: string): ProxyToken | undefined;
  /** Notes that proxy tokens were used now. */
  noteProxyTokenUse(id: string): void;
  createProxyToken(
    chosen: NewProxyToken,
    by: string,
  ): Promise<Result<Shown<ProxyTokenInfo>, Refusal>>;
  listProxyTokens(page: PageRequest): Page<ProxyTokenInfo>;
  revokeProxyToken(id: string): Result<boolean, Refusal>;
  /** The API token that id and digest prove, and notes its use; undefined when they prove none. */
  authenticate(id: string, digest: ArrayBuffer): ApiTokenInfo | undefined;
  createApiToken(chosen: NewApiToken, by: string): Promise<Result<Shown<ApiTokenInfo>, Refusal>>;
  listApiTokens(page: PageRequest): Page<ApiTokenInfo>;
  /** Refused for the last admin's token: nobody could make another one. */
  revokeApiToken(id: string): Result<boolean, Refusal>;
  enrolBox(chosen: NewBox, by: string): Promise<Result<Enrolment, Refusal>>;
  listBoxes(page: PageRequest): Promise<Page<BoxInfo>>;
  box(name: string): Promise<BoxInfo | undefined>;
  revokeBox(name: string): Promise<boolean>;
  /** Whether this is a box's present enrolment. */
  isEnrolled(box: string, serial: string): boolean;
  /**
   * A link of a box came up. Answers what it announced, in order; undefined when the box is not enrolled
   * any more.
   */
  greet(greeting: Greeting): Promise<Welcome["endpoints"] | undefined>;
  /** A link of a box went. @param isGoodbye its agent has ended, and said so */
  linkLost(link: BoxLink, isGoodbye: boolean): void;
  /** The boxes that said they have this code, connected ones first. */
  holdersOfCode(hash: string): BoxPlace[];
  /** A box has taken this code: another one may ask for it before the box has reported it. */
  codeTaken(box: string, hash: string): void;
  /** Everything that a box is to run, as the JSON that its agent gets. */
  assignments(box: string): Promise<string>;
  /** Takes note of everything that a box has. @param incarnation which agent says so, where it tells */
  report(box: string, report: BoxReport, incarnation?: string): void;
  stageVersion(deployment: NewDeployment): Promise<Result<VersionView, Refusal>>;
  startVersion(address: VersionAddress): Promise<Result<VersionView, Refusal>>;
  /** Takes back a version that was not started. */
  abandonVersion(address: VersionAddress): Result<undefined, Refusal>;
  /** @param to an old version; undefined: the one that served before */
  rollbackApp(
    address: AppAddress,
    to: number | undefined,
    by: Author,
  ): Promise<Result<VersionView, Refusal>>;
  stopApp(address: AppAddress): Result<AppView, Refusal>;
  app(address: AppAddress): AppView | undefined;
  /**
   * Refused for an environment that never was, which is mistyped: of a deleted one the stopped apps are
   * shown. @param environment of which alone; undefined: of all
   */
  listApps(environment: string | undefined, page: PageRequest): Result<Page<AppView>, Refusal>;
  version(address: VersionAddress): Result<VersionView, Refusal>;
  listVersions(address: AppAddress, page: PageRequest): Page<VersionView> | undefined;
  listEnvironments(page: PageRequest): Page<EnvironmentInfo>;
  environment(name: string): EnvironmentInfo | undefined;
  createEnvironment(chosen: NewEnvironment, by: string): Result<EnvironmentInfo, Refusal>;
  /** Refused for another name while apps live there: calls are addressed by it. */
  updateEnvironment(name: string, change: EnvironmentChange): Result<EnvironmentInfo, Refusal>;
  /** Stops an environment's apps and forgets it, with its secrets. */
  deleteEnvironment(name: string): Result<undefined, Refusal>;
  listSecrets(environment: string, page: PageRequest): Promise<Result<Page<SecretInfo>, Refusal>>;
  putSecret(chosen: NewSecret, by: string): Promise<Result<SecretInfo, Refusal>>;
  deleteSecret(environment: string, name: string): Result<undefined, Refusal>;
  /** Secrets for a box that announces an app of the environment; undefined for another box. */
  secretsOfBox(
    box: string,
    environment: string,
    names: readonly string[],
  ): Promise<ReadSecrets | undefined>;
}

export function noEnvironment(name: string): Err<Refusal> {
  return err({ code: "not_found", detail: `the workspace has no environment ${name}` });
}

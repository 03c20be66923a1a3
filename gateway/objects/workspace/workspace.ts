/**
 * `Workspace`: what belongs to one workspace and may only have one truth: its tokens, environments,
 * secrets and boxes, its apps and their versions. Each kind has a class of its own; here they are put
 * together and have their doors. It is addressed by a workspace's name alone, and that name comes from a
 * verified id, a verified credential or the gateway's own settings, never from what a stranger sent.
 *
 * It trusts its callers, the Worker and nobody else, to have checked what the caller's token may do.
 */
import { err, ok, type Err, type Result } from "../../../base/result.ts";
import type { Refusal } from "../../../routing/wire/errors.ts";
import { DurableObject } from "cloudflare:workers";
import {
  firstApiToken,
  mintToken,
  TOKEN_RANDOM_BYTES,
  type MintedToken,
  type TokenKind,
} from "../../../auth/tokens.ts";
import type { ProxyToken } from "../../../auth/proxy-authorization.ts";
import type { Env } from "../../contracts/env.ts";
import type { BoxReport } from "../../../routing/wire/deployments.ts";
import type { Welcome } from "../../../routing/wire/messages.ts";
import { mintAppToken } from "../../../auth/app-token.ts";
import { gatewayKeys } from "../../contracts/keys.ts";
import type { BoxPlace } from "../../contracts/names.ts";
import {
  type AppView,
  type VersionView,
  type AppAddress,
  type Greeting,
  type NewDeployment,
  type VersionAddress,
  type Author,
  type ApiTokenInfo,
  type NewApiToken,
  type Enrolment,
  type BoxInfo,
  type BoxLink,
  type NewBox,
  type EnvironmentChange,
  type EnvironmentInfo,
  type NewEnvironment,
  type Page,
  type PageRequest,
  type NewProxyToken,
  type ProxyTokenInfo,
  type NewSecret,
  type ReadSecrets,
  type SecretInfo,
  LAST_USE_RESOLUTION_MS,
  type WorkspaceRpc,
  type Credentials,
  type Shown,
  noEnvironment,
} from "../../contracts/workspace.ts";
import { MAX_TOKENS } from "../../../api/limits.ts";
import { ControlPlane } from "./control-plane.ts";
import { ApiTokens } from "./api-tokens.ts";
import { BoxRegistry } from "./box-registry.ts";
import { Environments } from "./environments.ts";
import { migrate } from "./migrations.ts";
import { ProxyTokens } from "./proxy-tokens.ts";
import { Secrets } from "./secrets.ts";

/** How long an expired token stays in lists, so that people see why something stopped working. */
const EXPIRED_SHOWN_MS = 30 * 86_400_000;

export class Workspace extends DurableObject<Env> implements WorkspaceRpc {
  readonly #name: string;
  readonly #sql: SqlStorage;
  readonly #boxes: BoxRegistry;
  readonly #environments: Environments;
  readonly #secrets: Secrets;
  readonly #control: ControlPlane;
  /** Of the gateway's present key, which the constructor waits for. */
  #proxyTokens: ProxyTokens;
  #apiTokens: ApiTokens;

  constructor(state: DurableObjectState, env: Env) {
    super(state, env);
    if (state.id.name === undefined) throw new Error("a workspace is addressed by its name");
    this.#name = state.id.name;
    this.#sql = state.storage.sql;
    migrate(state.storage);
    this.#boxes = new BoxRegistry(env, this.#name, this.#sql);
    this.#environments = new Environments(this.#sql);
    this.#secrets = new Secrets(env, this.#name, this.#sql, this.#environments);
    this.#control = new ControlPlane({
      env,
      state,
      workspace: this.#name,
      registry: this.#boxes,
      confidential: {
        token: async ({ id }) => await this.#appToken(id),
        secrets: async (environment, names) => await this.#secrets.read(environment, names),
      },
      suffixOf: (environment) => this.#environments.suffixOf(environment),
    });
    this.#proxyTokens = new ProxyTokens(this.#sql, "");
    this.#apiTokens = new ApiTokens(this.#sql, "");
    void state.blockConcurrencyWhile(() => this.#useKey());
  }

  /** What the edge needs to know; undefined when that is what it knows already. */
  credentials(known?: number): Credentials | undefined {
    const version = this.#credentialsVersion;
    if (version === known) return undefined;
    return { version, tokens: this.#proxyTokens.unexpired(Date.now()) };
  }

  /** One proxy token, for an id that is newer than the edge's knowledge; undefined when it is gone. */
  proxyToken(id: string): ProxyToken | undefined {
    return this.#proxyTokens.find(id);
  }

  /** Notes that proxy tokens were used now. */
  noteProxyTokenUse(id: string): void {
    this.#proxyTokens.noteUse(id, Date.now(), LAST_USE_RESOLUTION_MS);
  }

  async createProxyToken(
    chosen: NewProxyToken,
    by: string,
  ): Promise<Result<Shown<ProxyTokenInfo>, Refusal>> {
    const token = await this.#mint("proxy");
    const now = Date.now();
    return this.ctx.storage.transactionSync((): Result<Shown<ProxyTokenInfo>, Refusal> => {
      this.#proxyTokens.forgetExpired(now - EXPIRED_SHOWN_MS);
      if (this.#proxyTokens.count >= MAX_TOKENS) return tooManyTokens("proxy");
      const info = this.#proxyTokens.insert(token, chosen, by, now);
      this.#credentialsChanged();
      return ok({ ...info, secret: token.secret });
    });
  }

  listProxyTokens(page: PageRequest): Page<ProxyTokenInfo> {
    return this.#proxyTokens.list(page);
  }

  revokeProxyToken(id: string): Result<boolean, Refusal> {
    return this.ctx.storage.transactionSync(() => {
      const revoked = this.#proxyTokens.delete(id);
      if (revoked) this.#credentialsChanged();
      return ok(revoked);
    });
  }

  /** The API token that id and digest prove, and notes its use; undefined when they prove none. */
  authenticate(id: string, digest: ArrayBuffer): ApiTokenInfo | undefined {
    const now = Date.now();
    const token = this.#apiTokens.verify(id, digest, now);
    if (token !== undefined) this.#apiTokens.noteUse(id, now, LAST_USE_RESOLUTION_MS);
    return token;
  }

  async createApiToken(
    chosen: NewApiToken,
    by: string,
  ): Promise<Result<Shown<ApiTokenInfo>, Refusal>> {
    const token = await this.#mint("api");
    const now = Date.now();
    return this.ctx.storage.transactionSync((): Result<Shown<ApiTokenInfo>, Refusal> => {
      this.#apiTokens.forgetExpired(now - EXPIRED_SHOWN_MS);
      if (this.#apiTokens.count >= MAX_TOKENS) return tooManyTokens("API");
      const info = this.#apiTokens.insert(token, chosen, by, now);
      return ok({ ...info, secret: token.secret });
    });
  }

  listApiTokens(page: PageRequest): Page<ApiTokenInfo> {
    return this.#apiTokens.list(page);
  }

  /** Refused for the last admin's token: nobody could make another one. */
  revokeApiToken(id: string): Result<boolean, Refusal> {
    return this.ctx.storage.transactionSync((): Result<boolean, Refusal> => {
      if (this.#apiTokens.isLastAdmin(id)) {
        const detail = "this is the last admin's token that does not expire; make another first";
        return err({ code: "conflict", detail });
      }
      return ok(this.#apiTokens.delete(id));
    });
  }

  async enrolBox(chosen: NewBox, by: string): Promise<Result<Enrolment, Refusal>> {
    return await this.#boxes.enrol(chosen, by);
  }

  async listBoxes(page: PageRequest): Promise<Page<BoxInfo>> {
    return await this.#boxes.list(page);
  }

  async box(name: string): Promise<BoxInfo | undefined> {
    return await this.#boxes.find(name);
  }

  async revokeBox(name: string): Promise<boolean> {
    const revoked = await this.#boxes.revoke(name);
    if (revoked) this.#control.boxRevoked(name);
    return revoked;
  }

  /** Whether this is a box's present enrolment. */
  isEnrolled(box: string, serial: string): boolean {
    return this.#boxes.isEnrolled(box, serial);
  }

  /**
   * A link of a box came up. Answers what it announced, in order; undefined when the box is not enrolled
   * any more.
   */
  async greet(greeting: Greeting): Promise<Welcome["endpoints"] | undefined> {
    return await this.#control.greet(greeting);
  }

  /** A link of a box went. @param isGoodbye its agent has ended, and said so */
  linkLost(link: BoxLink, isGoodbye: boolean): void {
    this.#control.linkLost(link, isGoodbye);
  }

  /** The boxes that said they have this code, connected ones first. */
  holdersOfCode(hash: string): BoxPlace[] {
    return this.#boxes.holdersOf(hash);
  }

  /** A box has taken this code: another one may ask for it before the box has reported it. */
  codeTaken(box: string, hash: string): void {
    this.#boxes.boxes.addCode(box, hash);
  }

  /** Everything that a box is to run, as the JSON that its agent gets. */
  async assignments(box: string): Promise<string> {
    return JSON.stringify(await this.#control.assignments(box));
  }

  /** Takes note of everything that a box has. @param incarnation which agent says so, where it tells */
  report(box: string, report: BoxReport, incarnation?: string): void {
    this.#control.report(box, report, incarnation);
  }

  async stageVersion(deployment: NewDeployment): Promise<Result<VersionView, Refusal>> {
    return await this.#control.stage(deployment);
  }

  async startVersion(address: VersionAddress): Promise<Result<VersionView, Refusal>> {
    return await this.#control.start(address);
  }

  /** Takes back a version that was not started. */
  abandonVersion(address: VersionAddress): Result<undefined, Refusal> {
    return this.#control.abandon(address);
  }

  /** @param to an old version; undefined: the one that served before */
  async rollbackApp(
    address: AppAddress,
    to: number | undefined,
    by: Author,
  ): Promise<Result<VersionView, Refusal>> {
    return await this.#control.rollback(address, to, by);
  }

  stopApp(address: AppAddress): Result<AppView, Refusal> {
    return this.#control.stop(address);
  }

  app(address: AppAddress): AppView | undefined {
    return this.#control.app(address);
  }

  /**
   * Refused for an environment that never was, which is mistyped: of a deleted one the stopped apps are
   * shown. @param environment of which alone; undefined: of all
   */
  listApps(environment: string | undefined, page: PageRequest): Result<Page<AppView>, Refusal> {
    const apps = this.#control.apps(environment, page);
    const isUnknown = environment !== undefined && !this.#environments.exists(environment);
    return isUnknown && apps.items.length === 0 ? noEnvironment(environment) : ok(apps);
  }

  version(address: VersionAddress): Result<VersionView, Refusal> {
    return this.#control.version(address);
  }

  listVersions(address: AppAddress, page: PageRequest): Page<VersionView> | undefined {
    return this.#control.versions(address, page);
  }

  listEnvironments(page: PageRequest): Page<EnvironmentInfo> {
    return this.#environments.list(page);
  }

  environment(name: string): EnvironmentInfo | undefined {
    return this.#environments.find(name);
  }

  createEnvironment(chosen: NewEnvironment, by: string): Result<EnvironmentInfo, Refusal> {
    return this.#environments.create(chosen, by, Date.now());
  }

  /** Refused for another name while apps live there: calls are addressed by it. */
  updateEnvironment(name: string, change: EnvironmentChange): Result<EnvironmentInfo, Refusal> {
    const isNewName = change.name !== undefined && change.name !== name;
    if (isNewName && this.#control.hasApps(name)) {
      const detail = `apps live in environment ${name}: stop them before it gets another name`;
      return err({ code: "conflict", detail });
    }
    return this.#environments.update(name, change);
  }

  /** Stops an environment's apps and forgets it, with its secrets. */
  deleteEnvironment(name: string): Result<undefined, Refusal> {
    return this.ctx.storage.transactionSync((): Result<undefined, Refusal> => {
      const number = this.#environments.numberOf(name);
      const deleted = this.#environments.delete(name);
      if (!deleted.ok || number === undefined) return deleted;
      this.#secrets.deleteAll(number);
      this.#control.stopAll(name);
      return deleted;
    });
  }

  async listSecrets(
    environment: string,
    page: PageRequest,
  ): Promise<Result<Page<SecretInfo>, Refusal>> {
    return await this.#secrets.list(environment, page);
  }

  async putSecret(chosen: NewSecret, by: string): Promise<Result<SecretInfo, Refusal>> {
    return await this.#secrets.put(chosen, by);
  }

  deleteSecret(environment: string, name: string): Result<undefined, Refusal> {
    return this.#secrets.delete(environment, name);
  }

  /** Secrets for a box that announces an app of the environment; undefined for another box. */
  async secretsOfBox(
    box: string,
    environment: string,
    names: readonly string[],
  ): Promise<ReadSecrets | undefined> {
    if (!this.#control.announces(box, environment)) return undefined;
    return await this.#secrets.read(environment, names);
  }

  override async alarm(): Promise<void> {
    await this.#control.alarm();
  }

  /**
   * Every workspace starts with one admin token, which follows from the gateway's key. It is put there
   * once for each key: revoked, it stays away. Under another key no older token is the gateway's, and
   * all of them are again when their key is back.
   */
  async #useKey(): Promise<void> {
    const keys = await gatewayKeys(this.env);
    this.#proxyTokens = new ProxyTokens(this.#sql, keys.id);
    this.#apiTokens = new ApiTokens(this.#sql, keys.id);
    const token = await firstApiToken(keys, this.#name);
    const fact = `first_token ${keys.id}`;
    if (this.#fact(fact) !== undefined) return;
    this.ctx.storage.transactionSync(() => {
      const chosen: NewApiToken = { name: "first token", scope: "admin", expiresAt: null };
      this.#apiTokens.insert(token, chosen, "gateway", Date.now());
      this.#setFact(fact, token.id);
      this.#credentialsChanged();
    });
  }

  async #appToken(id: string): Promise<string> {
    return await mintAppToken(await gatewayKeys(this.env), { workspace: this.#name, id });
  }

  async #mint(kind: TokenKind): Promise<MintedToken> {
    const random = crypto.getRandomValues(new Uint8Array(TOKEN_RANDOM_BYTES));
    return await mintToken(await gatewayKeys(this.env), kind, this.#name, random);
  }

  get #credentialsVersion(): number {
    return Number(this.#fact("credentials_version") ?? 0);
  }

  #credentialsChanged(): void {
    this.#setFact("credentials_version", this.#credentialsVersion + 1);
  }

  #fact(name: string): SqlStorageValue | undefined {
    return this.#sql
      .exec<{ value: SqlStorageValue }>("SELECT value FROM facts WHERE name = ?", name)
      .toArray()[0]?.value;
  }

  #setFact(name: string, value: SqlStorageValue): void {
    this.#sql.exec(
      "INSERT INTO facts (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
      name,
      value,
    );
  }
}

function tooManyTokens(kind: "API" | "proxy"): Err<Refusal> {
  const detail = `the workspace has its ${MAX_TOKENS} ${kind} tokens; revoke one first`;
  return err({ code: "conflict", detail });
}

/**
 * `Workspace`: everything of one workspace that must have a single truth. Each kind (tokens, boxes, environments,
 * secrets, apps, domains) has a class of its own; this one puts them together, and the contract documents its methods.
 *
 * It is addressed by a workspace's name alone. That name comes from a verified id, a verified credential or the
 * gateway's own settings, never from a client. Its only caller, the Worker, has checked what the caller's token may do.
 */
import { err, ok, type Result } from "../../../base/result.ts";
import type { Refusal } from "../../../routing/wire/errors.ts";
import { DurableObject } from "cloudflare:workers";
import type { ProxyToken, TokenLimitsChange } from "../../../auth/proxy-authorization.ts";
import type { AuditEntry, NewAuditEntry } from "../../contracts/workspace/audit.ts";
import type { Env } from "../../contracts/env.ts";
import type { BoxReport } from "../../../routing/wire/deployments.ts";
import type { Welcome } from "../../../routing/wire/messages.ts";
import type { PoolLease, PoolUses } from "../../../routing/wire/pool-leases.ts";
import { mintAppToken } from "../../../auth/app-token.ts";
import { gatewayKeys } from "../../contracts/keys.ts";
import type { BoxPlace } from "../../contracts/names.ts";
import {
  type AppView,
  type VersionView,
  type AppAddress,
  type NewDeployment,
  type NewScaling,
  type ScaledFunction,
  type VersionAddress,
  type Author,
} from "../../contracts/workspace/apps.ts";
import {
  type Greeting,
  type Enrolment,
  type BoxInfo,
  type BoxLink,
  type NewBox,
  type RequestSender,
} from "../../contracts/workspace/boxes.ts";
import {
  type ApiTokenInfo,
  type NewApiToken,
  type NewProxyToken,
  type ProxyTokenInfo,
  type Credentials,
  type Disclosed,
} from "../../contracts/workspace/tokens.ts";
import {
  type EnvironmentChange,
  type EnvironmentInfo,
  type NewEnvironment,
  noEnvironment,
} from "../../contracts/workspace/environments.ts";
import type { DomainInfo } from "../../contracts/workspace/domains.ts";
import { type Page, type PageRequest } from "../../contracts/workspace/pages.ts";
import type { NewSecret, ReadSecrets, SecretInfo } from "../../contracts/workspace/secrets.ts";
import { type WorkspaceRpc } from "../../contracts/workspace.ts";
import { ControlPlane } from "./control-plane.ts";
import { AuditLog } from "./audit-log.ts";
import type { Domains } from "./domains.ts";
import { workspaceDomains } from "./workspace-domains.ts";
import { BoxRegistry } from "./box-registry.ts";
import { Environments } from "./environments.ts";
import { migrate } from "./migrations.ts";
import { Secrets } from "./secrets.ts";
import { WorkspaceTokens } from "./tokens.ts";

export class Workspace extends DurableObject<Env> implements WorkspaceRpc {
  readonly #name: string;
  readonly #audit: AuditLog;
  readonly #boxes: BoxRegistry;
  readonly #environments: Environments;
  readonly #secrets: Secrets;
  readonly #control: ControlPlane;
  readonly #domains: Domains;
  readonly #tokens: WorkspaceTokens;

  constructor(state: DurableObjectState, env: Env) {
    super(state, env);
    if (state.id.name === undefined) throw new Error("a workspace is addressed by its name");
    this.#name = state.id.name;
    const { sql } = state.storage;
    migrate(state.storage);
    this.#audit = new AuditLog(sql);
    this.#boxes = new BoxRegistry(env, this.#name, sql);
    this.#environments = new Environments(sql);
    this.#secrets = new Secrets(env, this.#name, sql, this.#environments);
    this.#control = new ControlPlane({
      env,
      state,
      workspace: this.#name,
      registry: this.#boxes,
      confidential: {
        token: async ({ id }) =>
          await mintAppToken(await gatewayKeys(env), { workspace: this.#name, id }),
        secrets: async (environment, names) => await this.#secrets.read(environment, names),
      },
      suffixOf: (environment) => this.#environments.suffixOf(environment),
      unknownDomain: (domains) => this.#domains.unknownAmong(domains),
      otherDue: () => this.#domains.nextDue(),
    });
    this.#domains = workspaceDomains(env, this.#name, sql, () => this.#control.changed());
    this.#tokens = new WorkspaceTokens(env, this.#name, state.storage);
    void state.blockConcurrencyWhile(() => this.#tokens.useKey());
  }

  noteBegun(entry: NewAuditEntry): number {
    return this.#audit.insert(entry, Date.now());
  }

  noteEnded(number: number, result: string, object?: string): void {
    this.#audit.end(number, result, object);
  }

  listAudit(page: PageRequest): Page<AuditEntry> {
    return this.#audit.list(page);
  }

  credentials(known?: number): Credentials | undefined {
    return this.#tokens.credentials(known);
  }

  proxyToken(id: string): ProxyToken | undefined {
    return this.#tokens.proxyToken(id);
  }

  noteProxyTokenUse(id: string): void {
    this.#tokens.noteProxyTokenUse(id);
  }

  async createProxyToken(
    chosen: NewProxyToken,
    by: string,
  ): Promise<Result<Disclosed<ProxyTokenInfo>, Refusal>> {
    const unknown = chosen.environments.find((name) => this.environment(name) === undefined);
    if (unknown !== undefined) return noEnvironment(unknown);
    return await this.#tokens.createProxyToken(chosen, by);
  }

  listProxyTokens(page: PageRequest): Page<ProxyTokenInfo> {
    return this.#tokens.listProxyTokens(page);
  }

  changeProxyToken(id: string, change: TokenLimitsChange): Result<ProxyTokenInfo, Refusal> {
    return this.#tokens.changeProxyToken(id, change);
  }

  revokeProxyToken(id: string): Result<boolean, Refusal> {
    return this.#tokens.revokeProxyToken(id);
  }
  revokeSignIns(): void {
    this.#tokens.revokeSignIns();
  }

  authenticate(id: string, digest: ArrayBuffer): ApiTokenInfo | undefined {
    return this.#tokens.authenticate(id, digest);
  }

  async createApiToken(
    chosen: NewApiToken,
    by: string,
  ): Promise<Result<Disclosed<ApiTokenInfo>, Refusal>> {
    return await this.#tokens.createApiToken(chosen, by);
  }

  listApiTokens(page: PageRequest): Page<ApiTokenInfo> {
    return this.#tokens.listApiTokens(page);
  }

  revokeApiToken(id: string): Result<boolean, Refusal> {
    return this.#tokens.revokeApiToken(id);
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

  isEnrolled(box: string, serial: string): boolean {
    return this.#boxes.isEnrolled(box, serial);
  }

  hasBox(box: string): boolean {
    return this.#boxes.has(box);
  }

  async greet(greeting: Greeting): Promise<Welcome["endpoints"] | undefined> {
    return await this.#control.greet(greeting);
  }

  async recall(greeting: Greeting): Promise<Welcome["endpoints"] | undefined> {
    return await this.#control.recall(greeting);
  }

  linkLost(link: BoxLink, isGoodbye: boolean): void {
    this.#control.linkLost(link, isGoodbye);
  }

  holdersOf(held: Parameters<WorkspaceRpc["holdersOf"]>[0]): BoxPlace[] {
    return this.#boxes.holdersOf(held);
  }

  codeTaken(box: string, hash: string): void {
    this.#boxes.boxes.addCode(box, hash);
  }

  async assignments(box: string): Promise<string> {
    return JSON.stringify(await this.#control.assignments(box));
  }

  report(box: string, report: BoxReport, sender: RequestSender): void {
    this.#control.report(box, report, sender);
  }

  poolShares(box: string, uses: PoolUses, sender: RequestSender): PoolLease | undefined {
    return this.#control.poolShares(box, uses, sender);
  }

  async stageVersion(deployment: NewDeployment): Promise<Result<VersionView, Refusal>> {
    return await this.#control.stage(deployment);
  }

  async startVersion(address: VersionAddress): Promise<Result<VersionView, Refusal>> {
    return await this.#control.start(address);
  }

  abandonVersion(address: VersionAddress): Result<undefined, Refusal> {
    return this.#control.abandon(address);
  }

  async rollbackApp(
    address: AppAddress,
    to: number | undefined,
    by: Author,
  ): Promise<Result<VersionView, Refusal>> {
    return await this.#control.rollback(address, to, by);
  }

  scaleFunction(scaling: NewScaling): Result<ScaledFunction, Refusal> {
    return this.#control.scale(scaling);
  }

  stopApp(address: AppAddress): Result<AppView, Refusal> {
    return this.#control.stop(address);
  }

  app(address: AppAddress): AppView | undefined {
    return this.#control.app(address);
  }

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

  updateEnvironment(name: string, change: EnvironmentChange): Result<EnvironmentInfo, Refusal> {
    const isNewName = change.name !== undefined && change.name !== name;
    if (isNewName && this.#control.hasApps(name)) {
      const detail = `apps live in environment ${name}: stop them before it gets another name`;
      return err({ code: "conflict", detail });
    }
    return this.#environments.update(name, change);
  }

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

  async secretsOfBox(
    box: string | undefined,
    environment: string,
    names: readonly string[],
  ): Promise<ReadSecrets | undefined> {
    if (box !== undefined && !this.#control.announces(box, environment)) return undefined;
    return await this.#secrets.read(environment, names);
  }

  listDomains(page: PageRequest): Page<DomainInfo> {
    return this.#domains.list(page);
  }

  async addDomain(domain: string, by: string): Promise<Result<DomainInfo, Refusal>> {
    return await this.#domains.add(domain, by, Date.now());
  }

  async verifyDomain(domain: string): Promise<Result<DomainInfo, Refusal>> {
    return await this.#domains.verify(domain);
  }

  async removeDomain(domain: string): Promise<Result<undefined, Refusal>> {
    return await this.#domains.remove(domain);
  }

  override async alarm(): Promise<void> {
    // A resolver that is slow must not hold up deployments.
    this.ctx.waitUntil(this.#domains.lookAfter(Date.now()));
    await this.#control.alarm();
  }
}

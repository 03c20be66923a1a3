/**
 * The tokens of one workspace: proxy tokens, API tokens, and the version of what the edge knows of them. Only tokens
 * of the gateway's present key count; those of an earlier key count again when that key is back.
 */
import { err, ok, type Err, type Result } from "../../../base/result.ts";
import {
  firstApiToken,
  mintToken,
  TOKEN_RANDOM_BYTES,
  type MintedToken,
  type TokenKind,
} from "../../../auth/tokens.ts";
import type { ProxyToken, TokenLimitsChange } from "../../../auth/proxy-authorization.ts";
import { MAX_TOKENS } from "../../../api/limits.ts";
import type { Refusal } from "../../../routing/wire/errors.ts";
import type { Env } from "../../contracts/env.ts";
import { gatewayKeys } from "../../contracts/keys.ts";
import type { Page, PageRequest } from "../../contracts/workspace/pages.ts";
import {
  LAST_USE_RESOLUTION_MS,
  type ApiTokenInfo,
  type Credentials,
  type NewApiToken,
  type NewProxyToken,
  type ProxyTokenInfo,
  type Disclosed,
} from "../../contracts/workspace/tokens.ts";
import { ApiTokens } from "./api-tokens.ts";
import { ProxyTokens } from "./proxy-tokens.ts";

/** How long an expired token stays in lists, so that people see why something stopped working. */
const EXPIRED_SHOWN_MS = 30 * 86_400_000;

export class WorkspaceTokens {
  readonly #env: Env;
  readonly #workspace: string;
  readonly #storage: DurableObjectStorage;
  #proxy: ProxyTokens;
  #api: ApiTokens;

  /** Without tokens until `useKey` is done. */
  constructor(env: Env, workspace: string, storage: DurableObjectStorage) {
    this.#env = env;
    this.#workspace = workspace;
    this.#storage = storage;
    this.#proxy = new ProxyTokens(storage.sql, "");
    this.#api = new ApiTokens(storage.sql, "");
  }

  /**
   * Reads the tokens of the gateway's key. Each workspace begins with one admin token that follows from that key. It
   * is inserted once for each key: a revoked one stays away.
   */
  async useKey(): Promise<void> {
    const keys = await gatewayKeys(this.#env);
    this.#proxy = new ProxyTokens(this.#storage.sql, keys.id, keys.before?.id);
    this.#api = new ApiTokens(this.#storage.sql, keys.id, keys.before?.id);
    const token = await firstApiToken(keys, this.#workspace);
    const fact = `first_token ${keys.id}`;
    if (this.#fact(fact) !== undefined) return;
    this.#storage.transactionSync(() => {
      const chosen: NewApiToken = { name: "first token", scope: "admin", expiresAt: null };
      this.#api.insert(token, chosen, "gateway", Date.now());
      this.#setFact(fact, token.id);
      this.#credentialsChanged();
    });
  }

  credentials(known: number | undefined): Credentials | undefined {
    const version = this.#credentialsVersion;
    if (version === known) return undefined;
    const signInRound = this.#signInRound;
    return { version, signInRound, tokens: this.#proxy.unexpired(Date.now()) };
  }

  proxyToken(id: string): ProxyToken | undefined {
    return this.#proxy.find(id);
  }

  noteProxyTokenUse(id: string): void {
    this.#proxy.noteUse(id, Date.now(), LAST_USE_RESOLUTION_MS);
  }

  async createProxyToken(
    chosen: NewProxyToken,
    by: string,
  ): Promise<Result<Disclosed<ProxyTokenInfo>, Refusal>> {
    const token = await this.#mint("proxy");
    const now = Date.now();
    return this.#storage.transactionSync((): Result<Disclosed<ProxyTokenInfo>, Refusal> => {
      this.#proxy.forgetExpired(now - EXPIRED_SHOWN_MS);
      if (this.#proxy.count >= MAX_TOKENS) return tooManyTokens("proxy");
      const info = this.#proxy.insert(token, chosen, by, now);
      this.#credentialsChanged();
      return ok({ ...info, secret: token.secret });
    });
  }

  listProxyTokens(page: PageRequest): Page<ProxyTokenInfo> {
    return this.#proxy.list(page);
  }

  changeProxyToken(id: string, change: TokenLimitsChange): Result<ProxyTokenInfo, Refusal> {
    return this.#storage.transactionSync((): Result<ProxyTokenInfo, Refusal> => {
      const info = this.#proxy.change(id, change);
      if (info === undefined) {
        return err({ code: "not_found", detail: "the workspace has no proxy token of this id" });
      }
      this.#credentialsChanged();
      return ok(info);
    });
  }

  revokeProxyToken(id: string): Result<boolean, Refusal> {
    return this.#storage.transactionSync(() => {
      const revoked = this.#proxy.delete(id);
      if (revoked) this.#credentialsChanged();
      return ok(revoked);
    });
  }

  revokeSignIns(): void {
    this.#storage.transactionSync(() => {
      this.#setFact("sign_in_round", this.#signInRound + 1);
      this.#credentialsChanged();
    });
  }

  authenticate(id: string, digest: ArrayBuffer): ApiTokenInfo | undefined {
    const now = Date.now();
    const token = this.#api.verify(id, digest, now);
    if (token !== undefined) this.#api.noteUse(id, now, LAST_USE_RESOLUTION_MS);
    return token;
  }

  async createApiToken(
    chosen: NewApiToken,
    by: string,
  ): Promise<Result<Disclosed<ApiTokenInfo>, Refusal>> {
    const token = await this.#mint("api");
    const now = Date.now();
    return this.#storage.transactionSync((): Result<Disclosed<ApiTokenInfo>, Refusal> => {
      this.#api.forgetExpired(now - EXPIRED_SHOWN_MS);
      if (this.#api.count >= MAX_TOKENS) return tooManyTokens("API");
      const info = this.#api.insert(token, chosen, by, now);
      return ok({ ...info, secret: token.secret });
    });
  }

  listApiTokens(page: PageRequest): Page<ApiTokenInfo> {
    return this.#api.list(page);
  }

  revokeApiToken(id: string): Result<boolean, Refusal> {
    return this.#storage.transactionSync((): Result<boolean, Refusal> => {
      if (this.#api.isLastAdmin(id)) {
        const detail = "this is the last admin's token that does not expire; make another first";
        return err({ code: "conflict", detail });
      }
      return ok(this.#api.delete(id));
    });
  }

  async #mint(kind: TokenKind): Promise<MintedToken> {
    const random = crypto.getRandomValues(new Uint8Array(TOKEN_RANDOM_BYTES));
    return await mintToken(await gatewayKeys(this.#env), kind, this.#workspace, random);
  }

  get #signInRound(): number {
    return Number(this.#fact("sign_in_round") ?? 0);
  }

  get #credentialsVersion(): number {
    return Number(this.#fact("credentials_version") ?? 0);
  }

  #credentialsChanged(): void {
    this.#setFact("credentials_version", this.#credentialsVersion + 1);
  }

  #fact(name: string): SqlStorageValue | undefined {
    return this.#storage.sql
      .exec<{ value: SqlStorageValue }>("SELECT value FROM facts WHERE name = ?", name)
      .toArray()[0]?.value;
  }

  #setFact(name: string, value: SqlStorageValue): void {
    this.#storage.sql.exec(
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

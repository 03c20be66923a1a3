/**
 * The rate limits that a request has to pass: its workspace's and its endpoint's before authorization, its token's after.
 * Where one isolate sees all requests, as self-hosted, it counts by itself; on Cloudflare the workspace's `Meter` leases
 * tokens to isolates. Most requests ask nobody.
 */
import type { Rate } from "../../../routing/wire/rate.ts";
import { parseRate } from "../../../routing/wire/rate.ts";
import { TokenBucket } from "../../../routing/token-bucket.ts";
import { LeasedTokens } from "../../../routing/leased-tokens.ts";
import { type Env, workspaceRate } from "../../contracts/env.ts";
import { meterStub } from "../../contracts/stubs.ts";
import type { Snapshot } from "../../contracts/names.ts";
import type { AdmittedToken } from "./admission.ts";
import { withinWait } from "./snapshot-cache.ts";

/** Reads of one call's result, counted by each isolate: who holds its URL polls it, and follows redirects. */
const READS: Rate = { perSecond: 20, burst: 100, windowS: 5 };

/** Limits that an isolate remembers, and calls that were read; then it starts over, with full ones. */
const MAX_LIMITS = 10_000;

/** How long a request waits for tokens, and how often it looks for those that another request asked for. */
const WAIT_MS = 1_000;
const POLL_MS = 2;

/** A limit that lets a request not through. */
export interface RateExceeded {
  readonly scope: "workspace" | "endpoint" | "token" | "result";
  readonly rate: Rate;
  /** Until a request of its kind may pass. */
  readonly waitMs: number;
}

interface Limit {
  readonly scope: RateExceeded["scope"];
  readonly workspace: string;
  /** Its name within the workspace. */
  readonly name: string;
  readonly rateText: string;
}

/** One limit as this isolate counts it. */
interface Gauge {
  readonly rateText: string;
  readonly rate: Rate;
  readonly tokens: TokenBucket | LeasedTokens;
}

/** A random name for the workspace's `Meter`; made by a request, since an isolate may make none before. */
let isolate: string | undefined;

const gauges = new Map<string, Gauge>();

/** By call. */
const reads = new Map<string, TokenBucket>();

/** Counts a request; returns the limit that refuses it. A refused request counts for no limit. */
export function passRates(
  env: Env,
  execution: ExecutionContext,
  { workspace, appId, endpoint, settings }: Snapshot,
): RateExceeded | undefined | Promise<RateExceeded | undefined> {
  const own = settings.rateLimit;
  const limits: Limit[] = [];
  if (own !== undefined) {
    const name = `endpoint/${appId}/${endpoint}`;
    limits.push({ scope: "endpoint", workspace, name, rateText: own });
  }
  const general = workspaceRate(env);
  if (general !== "0") {
    limits.push({ scope: "workspace", workspace, name: "workspace", rateText: general });
  }
  return passAll(env, execution, limits, 0);
}

/** Counts a request of a token with a limit of its own, which is known only after authorization. */
export function passTokenRate(
  env: Env,
  execution: ExecutionContext,
  workspace: string,
  { id, limits: { rateLimit } }: AdmittedToken,
): RateExceeded | undefined | Promise<RateExceeded | undefined> {
  if (rateLimit === undefined) return undefined;
  const limit: Limit = { scope: "token", workspace, name: `token/${id}`, rateText: rateLimit };
  return passAll(env, execution, [limit], 0);
}

/** Counts a read of a call's result; returns the limit that refuses it. */
export function passReads(callId: string): RateExceeded | undefined {
  const now = Date.now();
  let tokens = reads.get(callId);
  if (tokens === undefined) {
    if (reads.size >= MAX_LIMITS) reads.clear();
    reads.set(callId, (tokens = new TokenBucket(READS, now)));
  }
  const waitMs = tokens.take(now);
  return waitMs === 0 ? undefined : { scope: "result", rate: READS, waitMs };
}

function passAll(
  env: Env,
  execution: ExecutionContext,
  limits: readonly Limit[],
  from: number,
): RateExceeded | undefined | Promise<RateExceeded | undefined> {
  for (let index = from; index < limits.length; index += 1) {
    const limit = limits[index] as Limit;
    const waitMs = pass(env, execution, limit);
    if (waitMs instanceof Promise) {
      return waitMs.then((waited) =>
        waited > 0
          ? refuse(env, limits, index, waited)
          : passAll(env, execution, limits, index + 1),
      );
    }
    if (waitMs > 0) return refuse(env, limits, index, waitMs);
  }
  return undefined;
}

/** Returns the tokens of the limits before it. */
function refuse(
  env: Env,
  limits: readonly Limit[],
  index: number,
  waitMs: number,
): RateExceeded | undefined {
  for (const limit of limits.slice(0, index)) gaugeOf(env, limit)?.tokens.putBack();
  const { scope, rateText } = limits[index] as Limit;
  const rate = parseRate(rateText);
  return rate && { scope, rate, waitMs };
}

/** Takes a token. @returns 0, or the milliseconds until there is one */
function pass(env: Env, execution: ExecutionContext, limit: Limit): number | Promise<number> {
  const gauge = gaugeOf(env, limit);
  if (gauge === undefined) return 0;
  const { tokens } = gauge;
  if (tokens instanceof TokenBucket) return tokens.take(Date.now());
  const taken = tokens.take(Date.now());
  switch (taken.kind) {
    case "taken":
      if (taken.asks) execution.waitUntil(ask(env, limit, tokens));
      return 0;
    case "refused":
      return taken.waitMs;
    case "empty":
      return passEmpty(env, execution, limit, tokens);
  }
}

/** A request may not use what belongs to another one, so it looks for the answer that another one waits for. */
async function passEmpty(
  env: Env,
  execution: ExecutionContext,
  limit: Limit,
  tokens: LeasedTokens,
): Promise<number> {
  const until = Date.now() + WAIT_MS;
  while (tokens.isAsking && Date.now() < until) await scheduler.wait(POLL_MS);
  if (!tokens.isAsking) {
    const taken = tokens.take(Date.now());
    if (taken.kind === "refused") return taken.waitMs;
    if (taken.kind === "taken") return 0;
    const asked = ask(env, limit, tokens);
    // The answer is for all requests: it comes even where this one's client leaves.
    execution.waitUntil(asked);
    await asked;
  }
  const taken = tokens.take(Date.now());
  // Others took what came: the limit is reached.
  return taken.kind === "taken" ? 0 : taken.kind === "refused" ? taken.waitMs : POLL_MS;
}

async function ask(env: Env, limit: Limit, tokens: LeasedTokens): Promise<void> {
  isolate ??= crypto.randomUUID();
  const request = tokens.ask(Date.now());
  const question = { limit: limit.name, rate: limit.rateText, request };
  const answer = await withinWait(meterStub(env, limit.workspace).lease(isolate, question));
  if (answer === "late") tokens.failed(Date.now());
  else tokens.granted(request, answer, Date.now());
}

/** Undefined where a setting that a newer agent knows is no rate here. */
function gaugeOf(env: Env, { workspace, name, rateText }: Limit): Gauge | undefined {
  const key = `${workspace}/${name}`;
  const known = gauges.get(key);
  if (known?.rateText === rateText) return known;
  const rate = parseRate(rateText);
  if (rate === undefined) return undefined;
  if (gauges.size >= MAX_LIMITS) gauges.clear();
  const now = Date.now();
  const isAlone = env.POSTERN_ONE_ISOLATE === "1";
  const tokens = isAlone ? new TokenBucket(rate, now) : new LeasedTokens(rate, now);
  const gauge = { rateText, rate, tokens };
  gauges.set(key, gauge);
  return gauge;
}

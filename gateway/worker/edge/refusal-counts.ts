/**
 * Counts the requests that a limit has refused, for `postern usage`. An isolate counts by itself and tells the
 * workspace's `Meter` now and then, so that a refused request asks nobody. Counts of an isolate that ends are lost.
 */
import type { RequestContext } from "./request-context.ts";
import type { RefusedRow } from "../../contracts/meter.ts";
import type { Env } from "../../contracts/env.ts";
import { meterStub } from "../../contracts/stubs.ts";
import type { ErrorCode } from "../../../routing/wire/errors.ts";

/** How long an isolate counts before it tells. */
const TELL_AFTER_MS = 2_000;

/** Rows that wait for one workspace's meter; refusals of further tokens are left out until it has been told. */
const MAX_ROWS = 1_000;

/** The token of a request that was refused before its token was read. */
const UNREAD_TOKEN = "-";

/** Refusals for want of room: each is a 429. */
const OF_LIMITS: ReadonlySet<ErrorCode> = new Set(["rate_limited", "budget_spent", "queue_full"]);

/** By workspace, then by token and endpoint. */
const counts = new Map<
  string,
  Map<string, { -readonly [Key in keyof RefusedRow]: RefusedRow[Key] }>
>();

/** Counts a request that was answered, if a limit has refused it. */
export function countRefusal(
  env: Env,
  execution: ExecutionContext,
  { code, asked, token = UNREAD_TOKEN }: Pick<RequestContext, "code" | "asked" | "token">,
): void {
  if (code === undefined || asked === undefined || !OF_LIMITS.has(code)) return;
  const { workspace, endpoint } = asked;
  let rows = counts.get(workspace);
  if (rows === undefined) {
    counts.set(workspace, (rows = new Map()));
    execution.waitUntil(tellLater(env, workspace));
  }
  const key = `${token} ${endpoint}`;
  const row = rows.get(key);
  if (row !== undefined) row.refused += 1;
  else if (rows.size < MAX_ROWS) rows.set(key, { token, endpoint, refused: 1 });
}

/** A meter that does not answer hears nothing of these: they are nobody's money. */
async function tellLater(env: Env, workspace: string): Promise<void> {
  await scheduler.wait(TELL_AFTER_MS);
  const rows = [...(counts.get(workspace)?.values() ?? [])];
  counts.delete(workspace);
  await meterStub(env, workspace)
    .noteRefusals(rows)
    .catch(() => undefined);
}

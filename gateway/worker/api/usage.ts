/** `/api/v1/usage`: who used what. */
import { LIST_USAGE } from "../../../api/usage.ts";
import { DAY_MS, SECOND_MS } from "../../../base/units.ts";
import { dayOf } from "../../../routing/budgets.ts";
import { meterStub } from "../../contracts/stubs.ts";
import { pageRequest, toPage, toTime } from "./documents.ts";
import { type ApiHandler, handle } from "./operation-router.ts";

export const USAGE_HANDLERS: readonly ApiHandler[] = [
  handle(LIST_USAGE, async ({ env, caller, query }) => {
    const since = query.since === undefined ? 0 : dayOf(Date.parse(query.since));
    const wanted = { ...pageRequest(query), since, token: query.token };
    return toPage(
      await meterStub(env, caller.workspace).listUsage(wanted),
      ({ day, token, endpoint, requests, containerMs, refused }) => ({
        day: toTime(day * DAY_MS).slice(0, "2026-11-29".length),
        token,
        endpoint,
        requests,
        container_seconds: containerMs / SECOND_MS,
        refused,
      }),
    );
  }),
];

/** The order of an API request: who calls is known by the headers alone, before a byte of the body is read. */
import { env as bindings } from "cloudflare:test";
import { Hono } from "hono";
import { describe, expect, test } from "vitest";

import { CREATE_API_TOKEN } from "../../../../api/tokens.ts";
import { firstApiToken } from "../../../../auth/tokens.ts";
import type { Env } from "../../../../gateway/contracts/env.ts";
import { gatewayKeys } from "../../../../gateway/contracts/keys.ts";
import { handle, mount } from "../../../../gateway/worker/api/operation-router.ts";
import { problemResponse } from "../../../../gateway/worker/api/problems.ts";
import { v1 } from "../../../../gateway/worker/api/v1.ts";
import { BODY_TIMEOUT_MS, BodyReader } from "../../../../gateway/worker/edge/body-reader.ts";
import { manualTimer, unfinishedBody } from "../../unfinished-body.ts";

const env = bindings as unknown as Env;

function post(body: BodyInit, authorization?: string): Request {
  return new Request("http://localhost:8787/api/v1/tokens", {
    method: "POST",
    body,
    headers: authorization === undefined ? {} : { authorization },
  });
}

async function admin(): Promise<string> {
  const { id, secret } = await firstApiToken(await gatewayKeys(env), "local");
  return `Bearer ${id}.${secret}`;
}

describe("an API request with an unfinished body", () => {
  test.each([
    ["without credentials", undefined, "missing_credentials"],
    ["with a guessed token", "Bearer ak-local-x.as-x", "invalid_credentials"],
  ])("%s is a 401 at once, and its body is not read", async (_, authorization, code) => {
    const { body, pulls } = unfinishedBody('{"name":');
    const response = await v1.fetch(post(body, authorization), env);
    expect(response.status).toBe(401);
    expect(await response.json()).toMatchObject({ code });
    expect(pulls()).toBe(0);
  });

  test("is a 408 at its deadline, and does nothing", async () => {
    const { timer, pass } = manualTimer();
    const { body, cancelled } = unfinishedBody('{"name":');
    const router = new Hono<{ Bindings: Env }>().basePath("/api/v1");
    router.onError(problemResponse);
    const unexpected = handle(CREATE_API_TOKEN, async () => {
      throw new Error("nothing was asked yet");
    });
    mount(router, [unexpected], new BodyReader(timer));
    const answering = router.fetch(post(body, await admin()), env);
    await pass(BODY_TIMEOUT_MS);
    const response = await answering;
    expect(response.status).toBe(408);
    expect(await response.json()).toMatchObject({
      code: "body_timeout",
      detail: "it was not whole after 20 s, which is the limit",
    });
    await cancelled;
  });
});

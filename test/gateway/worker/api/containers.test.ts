/** The API of containers and their logs: lines pass from a box to a client as they are, for as long as both want. */
import { env as bindings, SELF } from "cloudflare:test";
import { beforeAll, describe, expect, test } from "vitest";

import { firstApiToken } from "../../../../auth/tokens.ts";
import type { Env } from "../../../../gateway/contracts/env.ts";
import { gatewayKeys } from "../../../../gateway/contracts/keys.ts";
import type { OperationHead } from "../../../../routing/wire/heads.ts";
import type { Stream } from "../../../../routing/wire/multiplexer.ts";
import { call, type Token } from "../../api-client.ts";
import { announcement, connectAgent } from "../../fake-agent.ts";

const env = bindings as unknown as Env;
const HEAD = '{"status":200,"headers":["content-type","application/x-ndjson"]}';
const encoder = new TextEncoder();

let admin: Token;
let reader: Token;
beforeAll(async () => {
  admin = await firstApiToken(await gatewayKeys(env), "local");
  reader = (await call("POST", "/tokens", { token: admin, body: { scope: "read" } })).json as Token;
});

async function ask(path: string, method = "GET"): Promise<Response> {
  return await SELF.fetch(`http://localhost:8787/api/v1${path}`, {
    method,
    headers: { host: "localhost:8787", authorization: `Bearer ${reader.id}.${reader.secret}` },
  });
}

/** A box with an app that answers queries as the test says. */
async function logBox(box: string, answer: (stream: Stream) => void) {
  const asked: OperationHead[] = [];
  const cancelled = Promise.withResolvers<void>();
  const agent = await connectAgent(box, {
    endpoints: [announcement(box, "web")],
    operate: (stream, head) => {
      asked.push(head);
      answer(stream);
      return { onEnd: () => cancelled.resolve() };
    },
  });
  return { asked, cancelled: cancelled.promise, cut: () => agent.cut() };
}

describe("the log of a container", () => {
  test("passes as the box sends it, and asks for what the client asks for", async () => {
    const { asked } = await logBox("logs-a", (stream) => {
      stream.sendHead(HEAD, [encoder.encode('{"text":"1"}\n')], false);
      stream.sendData([encoder.encode('{"text":"2"}\n')], true);
    });
    const response = await ask(
      "/boxes/logs-a/containers/ct-1f/log?tail=5&since=2026-01-01T00:00:00.000Z&environment=dev",
    );
    expect(response.status).toBe(200);
    expect(response.headers.get("content-type")).toBe("application/x-ndjson");
    expect(await response.text()).toBe('{"text":"1"}\n{"text":"2"}\n');
    const parameters = {
      workspace: "local",
      of: { container: "ct-1f", environment: "dev" },
      since: "2026-01-01T00:00:00.000Z",
      tail: 5,
      follow: false,
    };
    expect(asked).toEqual([{ operation: "containerLogs", parameters }]);
  });

  test("that is followed ends at the box when its client leaves", async () => {
    const { cancelled } = await logBox("logs-b", (stream) => {
      stream.sendHead(HEAD, [encoder.encode('{"text":"1"}\n')], false);
    });
    const response = await ask("/boxes/logs-b/containers/ct-1/log?follow=true");
    const body = (response.body as ReadableStream<Uint8Array>).getReader();
    expect(new TextDecoder().decode((await body.read()).value)).toBe('{"text":"1"}\n');
    await body.cancel();
    await cancelled;
  });

  test("breaks where the link does: its end would be taken for the log's", async () => {
    const { cut } = await logBox("logs-c", (stream) => {
      stream.sendHead(HEAD, [encoder.encode('{"text":"1"}\n')], false);
    });
    const response = await ask("/boxes/logs-c/containers/ct-1/log?follow=true");
    const body = (response.body as ReadableStream<Uint8Array>).getReader();
    await body.read();
    cut();
    await expect(body.read()).rejects.toThrow();
  });

  test("is no body for a HEAD, and the box is asked no more", async () => {
    const { cancelled } = await logBox("logs-d", (stream) => stream.sendHead(HEAD, [], false));
    const response = await ask("/boxes/logs-d/containers/ct-1/log?follow=true", "HEAD");
    expect(response.status).toBe(200);
    await cancelled;
  });

  test.each([
    ["/boxes/nowhere/containers/ct-1/log", 404, "not_found"],
    ["/boxes/logs-e/containers/x/log", 404, "not_found"],
    ["/boxes/logs-e/containers/ct-1/log", 404, "not_found"],
    ["/boxes/logs-e/containers/ct-1/log?tail=x", 400, "parameter_invalid"],
    ["/boxes/logs-e/containers/ct-1/log?tail=10001", 400, "parameter_invalid"],
    ["/boxes/logs-e/containers/ct-1/log?since=yesterday", 400, "parameter_invalid"],
    ["/boxes/logs-e/containers/ct-1/log?follow=1", 400, "parameter_invalid"],
    ["/boxes/logs-e/apps/nothing/log", 404, "not_found"],
  ])("at %s is %i %s", async (path, status, code) => {
    await logBox("logs-e", (stream) => stream.refuse({ code: "not_found", detail: "no log" }));
    const response = await ask(path);
    expect([response.status, await response.json()]).toEqual([
      status,
      expect.objectContaining({ code }),
    ]);
  });
});

test("the log of an app is asked for by its name and environment, by id too", async () => {
  const { asked } = await logBox("logs-f", (stream) => stream.sendHead(HEAD, [], true));
  const { json } = await call("GET", "/apps/logs-f", { token: reader });
  for (const app of ["logs-f", json.id as string]) {
    const response = await ask(`/boxes/logs-f/apps/${app}/log?function=web`);
    expect(await response.text()).toBe("");
  }
  const of = { environment: "main", app: "logs-f", function: "web" };
  const parameters = { workspace: "local", of, follow: false };
  expect(asked.map((head) => head.parameters)).toEqual([parameters, parameters]);
});

test("containers are listed and stopped at their box, the latter by who may deploy", async () => {
  const container = "ct-00000000000000aa";
  const asked: OperationHead[] = [];
  const described = { container, endpoint: "main/a/web", version: 2, state: "draining", calls: 3 };
  const listed = { ...described, startedAt: 1_767_225_600_000, cards: ["GPU-1"], port: 8188 };
  await connectAgent("containers-a", {
    operate: (stream, head) => {
      asked.push(head);
      const page = JSON.stringify({ containers: [listed], hasMore: true });
      if (head.operation === "listContainers") stream.sendHead(HEAD, [encoder.encode(page)], true);
      else stream.sendHead('{"status":204,"headers":[]}', [], true);
      return {};
    },
  });
  const path = "/boxes/containers-a/containers";
  const { json } = await call("GET", `${path}?limit=100&cursor=ct-00`, { token: reader });
  expect(json).toEqual({
    items: [
      {
        ...described,
        box: "containers-a",
        started_at: "2026-01-01T00:00:00.000Z",
        gpus: ["GPU-1"],
        port: 8188,
        parameters: null,
      },
    ],
    next_cursor: container,
  });
  const stop = `${path}/${container}/stop`;
  expect((await call("POST", stop, { token: reader })).status).toBe(403);
  expect((await call("POST", `${stop}?environment=dev`, { token: admin })).status).toBe(204);
  expect((await call("POST", `${path}/x/stop`, { token: admin })).status).toBe(404);
  const workspace = "local";
  expect(asked).toEqual([
    { operation: "listContainers", parameters: { workspace, limit: 50, after: "ct-00" } },
    { operation: "stopContainer", parameters: { workspace, container, environment: "dev" } },
  ]);
});

import { env as bindings, runInDurableObject, SELF } from "cloudflare:test";
import { beforeAll, describe, expect, test } from "vitest";

import { firstApiToken } from "../../../../auth/tokens.ts";
import type { Env } from "../../../../gateway/contracts/env.ts";
import { gatewayKeys } from "../../../../gateway/contracts/keys.ts";
import { workspaceStub } from "../../../../gateway/contracts/stubs.ts";
import { MAX_CODE_BYTES } from "../../../../routing/wire/deployments.ts";
import type { OperationHead } from "../../../../routing/wire/heads.ts";
import type { Failure } from "../../../../routing/wire/messages.ts";
import { call, type Token } from "../../api-client.ts";
import { authorizationOf, connectAgent, dial, enrolledBox } from "../../fake-agent.ts";

const env = bindings as unknown as Env;
const HASH = "a1".repeat(32);
const OK = '{"status":200,"headers":["content-type","application/json"]}';

let admin: Token;
let reader: Token;
beforeAll(async () => {
  admin = await firstApiToken(await gatewayKeys(env), "local");
  reader = (await call("POST", "/tokens", { token: admin, body: { scope: "read" } })).json as Token;
});

/** Bytes with their length declared, as a client streams them. */
function bytesOf(count: number): ReadableStream<Uint8Array> {
  const { readable, writable } = new FixedLengthStream(count);
  const writer = writable.getWriter();
  void (async () => {
    for (let left = count; left > 0; left -= 65_536) {
      await writer.write(new Uint8Array(Math.min(left, 65_536)).fill(7));
    }
    await writer.close();
  })().catch(() => undefined);
  return readable;
}

/** A box that takes code and gives it. */
async function codeBox(box: string, failure?: Failure) {
  const asked: OperationHead[] = [];
  let received = 0;
  const agent = await connectAgent(box, {
    operate: (stream, head, body, end) => {
      asked.push(head);
      received += body.length;
      const answer = (): void => {
        if (failure !== undefined) stream.refuse(failure);
        else if (head.operation === "getCode") {
          const headers = ["content-type", "application/octet-stream", "content-length", "5"];
          stream.sendHead(JSON.stringify({ status: 200, headers }), [], false);
          stream.sendData([new TextEncoder().encode("co")], false);
          stream.sendData([new TextEncoder().encode(`de${box.at(-1)}`)], true);
        } else stream.sendHead(OK, [], true);
      };
      if (end) answer();
      return {
        onData: (bytes, isLast) => {
          received += bytes.length;
          stream.consume(bytes.length);
          if (isLast) answer();
        },
      };
    },
  });
  return { asked, received: () => received, close: () => agent.close() };
}

describe("the API of boxes", () => {
  test("enrols a box, whose key connects it, and shows it without the key", async () => {
    const body = { name: "api-gpu", region: "eu-west-1" };
    const { status, json } = await call("POST", "/boxes", { token: admin, body });
    expect(status).toBe(201);
    expect(json).toMatchObject({
      ...body,
      workspace: "local",
      audience: "localhost:8787",
      ephemeral: false,
      connected: false,
      connected_at: null,
      last_seen_at: null,
      created_by: admin.id,
    });
    const response = await dial({ ...json, box: json.name });
    expect(response.status).toBe(101);
    response.webSocket?.accept();
    response.webSocket?.close(1000);
    const shown = await call("GET", "/boxes/api-gpu", { token: reader });
    expect(shown.json).toMatchObject(body);
    for (const secret of ["key", "serial"]) expect(shown.json).not.toHaveProperty(secret);
    const list = await call("GET", "/boxes?limit=1", { token: reader });
    expect(list.json.items).toHaveLength(1);
  });

  test("tells when a box is connected, and refuses to enrol it meanwhile", async () => {
    const agent = await connectAgent("api-connected");
    const shown = await call("GET", "/boxes/api-connected", { token: reader });
    expect(shown.json).toMatchObject({ connected: true, agent: "test" });
    const again = await call("POST", "/boxes", { token: admin, body: { name: "api-connected" } });
    expect(again.status).toBe(409);
    expect(again.json).toMatchObject({
      code: "conflict",
      detail: "box api-connected is connected: stop its agent, or enrol under another name",
    });
    agent.close();
  });

  test("revokes a box, once or more often", async () => {
    const agent = await connectAgent("api-revoked");
    expect((await call("DELETE", "/boxes/api-revoked", { token: admin })).status).toBe(204);
    expect((await agent.closed).code).toBe(4004);
    expect((await call("DELETE", "/boxes/api-revoked", { token: admin })).status).toBe(204);
    expect((await call("GET", "/boxes/api-revoked", { token: reader })).status).toBe(404);
  });

  test.each([
    [{}],
    [{ name: "" }],
    [{ name: "a/b" }],
    [{ name: "x".repeat(65) }],
    [{ name: "ok", region: "Über" }],
    [{ name: "ok", ephemeral: "yes" }],
    [{ name: "ok", key: "mine" }],
  ])("refuses to enrol %j", async (body) => {
    const { status, json } = await call("POST", "/boxes", { token: admin, body });
    expect(status).toBe(400);
    expect(json).toMatchObject({ code: "parameter_invalid" });
  });

  test.each([
    ["POST", "/boxes"],
    ["DELETE", "/boxes/x"],
    ["PUT", `/boxes/x/code/${HASH}`],
  ])("lets no reader %s %s", async (method, path) => {
    const body = method === "POST" ? { body: { name: "x" } } : {};
    expect((await call(method, path, { token: reader, ...body })).status).toBe(403);
  });
});

describe("uploading code", () => {
  const upload = async (box: string, raw: BodyInit, hash = HASH) =>
    await call("PUT", `/boxes/${box}/code/${hash}`, { token: admin, raw });

  test("streams through to the box's agent, past the limit of other requests", async () => {
    const box = await codeBox("code-a");
    expect((await upload("code-a", bytesOf(3_000_000))).status).toBe(204);
    expect(box.received()).toBe(3_000_000);
    expect(box.asked).toEqual([{ operation: "putCode", parameters: { hash: HASH } }]);
  });

  test("passes on what the agent says is wrong", async () => {
    await codeBox("code-b", { code: "parameter_invalid", detail: "the bytes have another hash" });
    const { status, json } = await upload("code-b", bytesOf(100_000));
    expect({ status, detail: json.detail }).toEqual({
      status: 400,
      detail: "the bytes have another hash",
    });
  });

  test("is refused for a box that is unknown or away, for no hash, and without a length", async () => {
    await enrolledBox("code-away");
    expect((await upload("code-away", bytesOf(10))).json).toMatchObject({ code: "no_origin" });
    expect((await upload("code-none", bytesOf(10))).json).toMatchObject({ code: "not_found" });
    expect((await upload("code-away", bytesOf(10), "abc")).status).toBe(400);
    const { readable, writable } = new IdentityTransformStream();
    void writable
      .getWriter()
      .close()
      .catch(() => undefined);
    expect((await upload("code-away", readable)).json).toMatchObject({
      code: "bad_request",
      detail: "an upload has a body and declares its Content-Length",
    });
  });

  test("is refused by its declared length when it is too large", async () => {
    const response = await SELF.fetch(`http://localhost:8787/api/v1/boxes/x/code/${HASH}`, {
      method: "PUT",
      headers: { host: "localhost:8787", authorization: `Bearer ${admin.id}.${admin.secret}` },
      body: bytesOf(MAX_CODE_BYTES + 1),
    });
    expect(response.status).toBe(413);
    expect(await response.json()).toMatchObject({
      detail: `the limit is ${MAX_CODE_BYTES} bytes`,
    });
  });
});

describe("a box that lacks code", () => {
  async function fetchCode(box: string, hash: string): Promise<Response> {
    return await SELF.fetch(`http://localhost:8787/_postern/code/${hash}`, {
      headers: {
        host: "localhost:8787",
        authorization: await authorizationOf(await enrolledBox(box)),
      },
    });
  }

  /** What the boxes reported. */
  async function holds(hash: string, ...boxes: string[]): Promise<void> {
    await runInDurableObject(workspaceStub(env, "local"), (_instance, { storage }) => {
      for (const box of boxes) storage.sql.exec("INSERT INTO box_code VALUES (?, ?)", box, hash);
    });
  }

  test("gets it from one that is connected and has it", async () => {
    const hash = "b2".repeat(32);
    await enrolledBox("fetch-away");
    const refusing = await codeBox("fetch-1", { code: "not_found", detail: "no such code" });
    const giving = await codeBox("fetch-2");
    await codeBox("fetch-3");
    await holds(hash, "fetch-away", "fetch-1", "fetch-2");
    const response = await fetchCode("fetch-3", hash);
    expect(response.status).toBe(200);
    expect(response.headers.get("content-length")).toBe("5");
    expect(await response.text()).toBe("code2");
    expect(refusing.asked).toHaveLength(1);
    expect(giving.asked).toEqual([{ operation: "getCode", parameters: { hash } }]);
  });

  test("gets what another one was just given, before that one has reported it", async () => {
    const hash = "d4".repeat(32);
    await codeBox("fetch-5");
    await codeBox("fetch-6");
    const raw = bytesOf(10);
    const uploaded = await call("PUT", `/boxes/fetch-5/code/${hash}`, { token: admin, raw });
    expect(uploaded.status).toBe(204);
    const response = await fetchCode("fetch-6", hash);
    expect(response.status).toBe(200);
    expect(await response.text()).toBe("code5");
  });

  test("is told where nobody has it; and itself is not asked", async () => {
    const hash = "c3".repeat(32);
    const box = await codeBox("fetch-4");
    await holds(hash, "fetch-4");
    const response = await fetchCode("fetch-4", hash);
    expect(response.status).toBe(404);
    expect(await response.text()).toBe(
      "postern: no connected box has the code c3c3c3c3c3c3; deploy it again, or connect one that has\n",
    );
    expect(box.asked).toEqual([]);
  });

  test("must be a box", async () => {
    const response = await SELF.fetch(`http://localhost:8787/_postern/code/${HASH}`, {
      headers: { host: "localhost:8787" },
    });
    expect(response.status).toBe(401);
    await response.text();
  });
});

describe("the endpoints of a box", () => {
  test("are what its agent says, in pages", async () => {
    const asked: OperationHead[] = [];
    const activity = {
      ready: 1,
      starting: 0,
      failed: 0,
      asleep: 1,
      draining: 0,
      waiting: 3,
      error: "",
    };
    const first = { endpoint: "main/shop/web", ...activity };
    await connectAgent("box-lists", {
      operate: (stream, head) => {
        asked.push(head);
        const page = { endpoints: [first], hasMore: asked.length === 1 };
        stream.sendHead(OK, [new TextEncoder().encode(JSON.stringify(page))], true);
        return {};
      },
    });
    const path = "/boxes/box-lists/endpoints?limit=1";
    const one = await call("GET", path, { token: reader });
    expect(one).toMatchObject({
      status: 200,
      // An older agent does not count those that are stuck.
      json: { items: [{ ...first, stuck: 0 }], next_cursor: "main/shop/web" },
    });
    const rest = await call("GET", `${path}&cursor=main%2Fshop%2Fweb`, { token: reader });
    expect(rest).toMatchObject({
      status: 200,
      json: { items: [{ ...first, stuck: 0 }], next_cursor: null },
    });
    const page = { workspace: "local", limit: 1 };
    expect(asked).toEqual([
      { operation: "listEndpoints", parameters: page },
      { operation: "listEndpoints", parameters: { ...page, after: "main/shop/web" } },
    ]);
  });

  test("of an agent from before the question, and of no box, are refused", async () => {
    await codeBox("box-old", { code: "not_supported", detail: "no such operation" });
    const old = await call("GET", "/boxes/box-old/endpoints", { token: reader });
    expect(old).toMatchObject({ status: 501, json: { code: "not_supported" } });
    const none = await call("GET", "/boxes/nowhere/endpoints", { token: reader });
    expect(none).toMatchObject({ status: 404, json: { code: "not_found" } });
  });
});

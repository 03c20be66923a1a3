import { env as bindings, evictDurableObject, runInDurableObject } from "cloudflare:test";
import { afterEach, describe, expect, test, vi } from "vitest";

import { mintBoxCredential } from "../../../../auth/box-credential.ts";
import { originStub, workspaceStub } from "../../../../gateway/contracts/stubs.ts";
import type { Env } from "../../../../gateway/contracts/env.ts";
import { Workspace } from "../../../../gateway/objects/workspace/workspace.ts";
import type { Stream } from "../../../../routing/wire/stream.ts";
import {
  announcement,
  ask,
  authorizationOf,
  connectAgent,
  dial,
  dialBack,
  enrol,
  enrolledBox,
  HANDSHAKE,
} from "../../fake-agent.ts";

const env = bindings as unknown as Env;

afterEach(() => {
  vi.useRealTimers();
});

const chosen = (name: string, part: object = {}) => ({
  name,
  region: "",
  ephemeral: false,
  ...part,
});

async function refusalOf(response: Response): Promise<string> {
  expect(response.status).toBe(401);
  return await response.text();
}

describe("a box's dial", () => {
  test("with a credential that is not ours is refused before any object is asked", async () => {
    const asked = vi.spyOn(env.WORKSPACE, "get");
    const box = await enrolledBox("dial-forged");
    asked.mockClear();
    const key = "A".repeat(43);
    for (const authorization of ["", "Bearer x", await authorizationOf({ ...box, key })]) {
      expect(await refusalOf(await dial(box, undefined, authorization))).toMatch(/^postern: /);
    }
    expect(asked).not.toHaveBeenCalled();
    asked.mockRestore();
  });

  test("with a clock that is wrong is told by how much", async () => {
    const box = await enrolledBox("dial-clock");
    const late = await mintBoxCredential(box, Date.now() / 1_000 - 3_600);
    const refusal = await refusalOf(await dial(box, undefined, `Bearer ${late}`));
    expect(refusal).toMatch(/^postern: the box's clock is 360[01] s behind the gateway's/);
  });

  test("with another gateway's credential is told so", async () => {
    const box = { ...(await enrolledBox("dial-elsewhere")), audience: "other.example.com" };
    expect(await refusalOf(await dial(box))).toContain("enrolled at another gateway");
  });

  test("of a box that was enrolled anew is refused with the old key, and welcome with the new", async () => {
    const old = await enrolledBox("dial-anew");
    const anew = await enrol("dial-anew");
    expect(await refusalOf(await dial(old))).toContain("enrolled anew elsewhere");
    const response = await dial(anew);
    expect(response.status).toBe(101);
    response.webSocket?.accept();
    response.webSocket?.close(1000);
  });
});

describe("a refused dial", () => {
  const verdictOf = async (response: Promise<Response>) =>
    (await response).headers.get("postern-verdict");

  test("names the gateway's verdict, so that an agent tells it from a proxy's status", async () => {
    const box = await enrolledBox("dial-verdict");
    const late = await mintBoxCredential(box, Date.now() / 1_000 - 3_600);
    const forged = await authorizationOf({ ...box, key: "A".repeat(43) });
    expect(await verdictOf(dial(box, undefined, ""))).toBe("no_credential");
    expect(await verdictOf(dial(box, undefined, forged))).toBe("wrong_key");
    expect(await verdictOf(dial(box, undefined, `Bearer ${late}`))).toBe("wrong_clock");
    expect(await verdictOf(dial({ ...box, audience: "x" }))).toBe("enrolled_elsewhere");
    expect(await verdictOf(dial(box, "no incarnation"))).toBe("malformed");
    const agent = await connectAgent("dial-verdict");
    const held = dial(box, "b".repeat(32));
    expect((await held).status).toBe(409);
    expect(await verdictOf(held)).toBe("held");
    expect(await (await held).text()).toMatch(/^postern: another agent is connected/);
    agent.close();
    await workspaceStub(env, "local").revokeBox("dial-verdict");
    expect(await verdictOf(dial(box))).toBe("revoked");
  });
});

describe("revoking a box", () => {
  test("cuts its link at once with a code of its own, and its key opens nothing any more", async () => {
    const box = await enrolledBox("revoked");
    const agent = await connectAgent("revoked");
    await workspaceStub(env, "local").revokeBox("revoked");
    const { code, reason } = await agent.closed;
    expect({ code, reason }).toEqual({
      code: 4004,
      reason:
        "revoked, or enrolled anew elsewhere; remove its identity.json, and it is enrolled anew",
    });
    expect(await refusalOf(await dial(box))).toContain("box revoked: revoked");
    expect(await workspaceStub(env, "local").box("revoked")).toBeUndefined();
  });

  test("cuts also links that its agent keeps beyond those that it says it has", async () => {
    await connectAgent("revoked-liar");
    const seventh = await connectAgent("revoked-liar", { link: 7 });
    await workspaceStub(env, "local").revokeBox("revoked-liar");
    expect((await seventh.closed).code).toBe(4004);
  });

  test("ends its responses, and its calls that wait for one", async () => {
    const opened = Promise.withResolvers<void>();
    await connectAgent("revoked-stream", {
      endpoints: [announcement("revoked-stream", "f")],
      open: (stream, { method }) => {
        if (method === "POST") opened.resolve();
        else stream.sendHead('{"status":200,"headers":[]}', [new Uint8Array(10)], false);
        return {};
      },
    });
    const streaming = await ask("local--revoked-stream-f");
    const reader = (streaming.body as ReadableStream<Uint8Array>).getReader();
    expect((await reader.read()).value).toHaveLength(10);
    const waiting = ask("local--revoked-stream-f", "/", { method: "POST", body: "x" });
    await opened.promise;
    await workspaceStub(env, "local").revokeBox("revoked-stream");
    // Without a wait for the box, which will not come back.
    await expect(reader.read()).rejects.toThrow();
    const failed = await waiting;
    expect(failed.status).toBe(502);
    expect(await failed.json()).toMatchObject({ code: "call_lost" });
  });

  test("is known at its calls' result URLs at once, also where its link's object is new", async () => {
    const box = "revoked-before";
    const hasBox = vi.spyOn(Workspace.prototype, "hasBox");
    const deferred = (stream: Stream, { callId }: { callId: string }) => {
      stream.confirmDeferred({ callId, status: "running", position: 0, elapsedMs: 0 });
      return {};
    };
    await connectAgent(box, {
      endpoints: [announcement(box, "f")],
      open: deferred,
      attach: deferred,
    });
    const collect = async (url: string) =>
      await ask(`local--${box}-f`, url, { redirect: "manual" });
    const resultUrl = async (sent: Response) => {
      expect(sent.status).toBe(303);
      const { pathname, search } = new URL(sent.headers.get("location") ?? "", "http://app");
      return `${pathname}${search}`;
    };
    const url = await resultUrl(await collect("/"));
    await resultUrl(await collect(url));
    // While the link is there nobody is asked.
    expect(hasBox).not.toHaveBeenCalled();

    await workspaceStub(env, "local").revokeBox(box);
    for (const isNew of [false, true]) {
      if (isNew) await evictDurableObject(originStub(env, "local", box, 0));
      const startedAt = performance.now();
      for (const response of await Promise.all([collect(url), collect(url)])) {
        expect(response.status).toBe(502);
        const detail = "the box that ran the call was revoked";
        expect(await response.json()).toMatchObject({ code: "call_lost", detail });
      }
      expect(performance.now() - startedAt).toBeLessThan(5_000);
      expect(hasBox).toHaveBeenCalledTimes(isNew ? 1 : 0);
    }
    hasBox.mockRestore();
  });

  test("ends its WebSockets, also where it is enrolled anew after its link was lost", async () => {
    const socketOf = async (box: string) => {
      const identity = await enrolledBox(box);
      const agent = await connectAgent(box, {
        endpoints: [announcement(box, "f")],
        open: (stream, head) => {
          stream.sendHead('{"status":101,"headers":[]}', [], false);
          void dialBack(identity, head.websocket ?? "");
          return {};
        },
      });
      const { webSocket: socket } = await ask(`local--${box}-f`, "/", { headers: HANDSHAKE });
      if (socket === null) throw new Error("the WebSocket was refused");
      const ended = Promise.withResolvers<void>();
      socket.addEventListener("close", () => ended.resolve());
      socket.addEventListener("error", () => ended.resolve());
      socket.accept();
      return { agent, ended: ended.promise };
    };
    const revoked = await socketOf("revoked-socket");
    await workspaceStub(env, "local").revokeBox("revoked-socket");
    await revoked.ended;
    const replaced = await socketOf("replaced-socket");
    replaced.agent.cut();
    await replaced.agent.closed;
    await enrol("replaced-socket");
    await replaced.ended;
  });

  test("while its link is coming up leaves no link", async () => {
    const box = await enrolledBox("revoked-between");
    const workspace = workspaceStub(env, "local");
    // The check was passed before the box was revoked; its hello comes after.
    await workspace.revokeBox(box.box);
    const isEnrolled = vi.spyOn(Workspace.prototype, "isEnrolled").mockReturnValueOnce(true);
    await expect(connectAgent(box.box)).rejects.toThrow(/4004 .*revoked/);
    expect(isEnrolled).toHaveBeenCalledOnce();
    isEnrolled.mockRestore();
    expect(await originStub(env, "local", box.box, 0).isUp()).toBe(false);
  });

  test("may be repeated, and the name may be enrolled again", async () => {
    const workspace = workspaceStub(env, "local");
    await enrol("revoked-twice");
    expect(await workspace.revokeBox("revoked-twice")).toBe(true);
    expect(await workspace.revokeBox("revoked-twice")).toBe(false);
    await enrol("revoked-twice");
    const agent = await connectAgent("revoked-twice");
    agent.close();
  });
});

describe("what a workspace knows of its boxes", () => {
  test("a box is connected from its welcome to its close", async () => {
    const workspace = workspaceStub(env, "local");
    await enrol("comes-and-goes");
    expect(await workspace.box("comes-and-goes")).toMatchObject({
      connectedAt: null,
      lastSeenAt: null,
      agent: "",
    });
    const agent = await connectAgent("comes-and-goes");
    const connected = await workspace.box("comes-and-goes");
    expect(connected).toMatchObject({ agent: "test", links: 1 });
    expect(connected?.connectedAt).toBeTypeOf("number");
    agent.close();
    await expect.poll(async () => (await workspace.box("comes-and-goes"))?.connectedAt).toBe(null);
    expect((await workspace.box("comes-and-goes"))?.lastSeenAt).toBeTypeOf("number");
  });

  test("a link that ended untold, with its gateway, is not shown as up", async () => {
    const workspace = workspaceStub(env, "local");
    await enrol("untold");
    await runInDurableObject(workspace, (_instance, { storage }) => {
      storage.sql.exec("INSERT INTO box_links VALUES ('untold', 0, 'gone', 1)");
    });
    expect((await workspace.box("untold"))?.connectedAt).toBe(null);
    const { items } = await workspace.listBoxes({ limit: 100 });
    expect(items.find(({ name }) => name === "untold")?.connectedAt).toBe(null);
  });

  test("a box that dials anew stays connected", async () => {
    const workspace = workspaceStub(env, "local");
    const older = await connectAgent("dials-anew");
    const newer = await connectAgent("dials-anew");
    await older.closed;
    expect((await workspace.box("dials-anew"))?.connectedAt).toBeTypeOf("number");
    expect(await originStub(env, "local", "dials-anew", 0).isUp()).toBe(true);
    newer.close();
  });

  test("lists come in pages, newest first", async () => {
    const workspace = workspaceStub(env, "pages-of-boxes");
    for (const name of ["a", "b", "c"]) await workspace.enrolBox(chosen(name), "test");
    const first = await workspace.listBoxes({ limit: 2 });
    expect(first.items.map(({ name }) => name)).toEqual(["c", "b"]);
    const second = await workspace.listBoxes({ limit: 2, cursor: first.nextCursor });
    expect(second.items.map(({ name }) => name)).toEqual(["a"]);
    expect(second.nextCursor).toBeUndefined();
  });
});

describe("enrolling", () => {
  test("is refused under the name of a box that is connected", async () => {
    const agent = await connectAgent("enrolled-connected");
    const workspace = workspaceStub(env, "local");
    const again = () => workspace.enrolBox(chosen("enrolled-connected"), "test");
    expect(await again()).toMatchObject({ ok: false, error: { code: "conflict" } });
    agent.close();
    await agent.closed;
    await expect.poll(async () => (await again()).ok).toBe(true);
  });

  test("is refused beyond the limit, but for boxes that are enrolled already", async () => {
    const workspace = workspaceStub(env, "full-of-boxes");
    await runInDurableObject(workspace, (_instance, { storage }) => {
      for (let number = 1; number < 1_000; number += 1) {
        storage.sql.exec(
          `INSERT INTO boxes (name, serial, region, ephemeral, created_at, created_by, agent, links)
           VALUES (?, 'a', '', 0, 1, 'test', '', 1)`,
          `box-${number}`,
        );
      }
    });
    expect((await workspace.enrolBox(chosen("last"), "test")).ok).toBe(true);
    const [refused, again] = [
      await workspace.enrolBox(chosen("one-more"), "test"),
      await workspace.enrolBox(chosen("box-7"), "test"),
    ];
    expect(refused).toMatchObject({ ok: false, error: { code: "conflict" } });
    expect(again).toMatchObject({ ok: true, value: { box: { name: "box-7" } } });
  });

  test("leaves no key in the database", async () => {
    const workspace = workspaceStub(env, "keyless");
    const enrolled = await workspace.enrolBox(chosen("gpu"), "test");
    if (!enrolled.ok) throw new Error(enrolled.error.detail);
    await runInDurableObject(workspace, (_instance, { storage }) => {
      const rows = storage.sql.exec("SELECT * FROM boxes").toArray();
      expect(JSON.stringify(rows)).toContain(enrolled.value.serial);
      expect(JSON.stringify(rows)).not.toContain(enrolled.value.key);
    });
  });
});

describe("an ephemeral box", () => {
  /** Lets time pass for the workspace's object, which reads the clock and sets no timer for this. */
  const after = (ms: number) => vi.setSystemTime(Date.now() + ms);

  test("is forgotten when it has been away for 60 s, not before", async () => {
    const workspace = workspaceStub(env, "local");
    await enrol("ephemeral", "local", true);
    const agent = await connectAgent("ephemeral");
    vi.useFakeTimers({ toFake: ["Date"] });
    after(3_600_000);
    expect(await workspace.isEnrolled("ephemeral", (await enrolledBox("ephemeral")).serial)).toBe(
      true,
    );
    agent.close();
    await agent.closed;
    await expect.poll(async () => (await workspace.box("ephemeral"))?.connectedAt).toBe(null);
    after(59_000);
    expect(await workspace.box("ephemeral")).toBeDefined();
    after(2_000);
    expect(await workspace.box("ephemeral")).toBeUndefined();
  });

  test("that never came is forgotten after ten minutes", async () => {
    const workspace = workspaceStub(env, "local");
    const { serial } = await enrol("ephemeral-unused", "local", true);
    vi.useFakeTimers({ toFake: ["Date"] });
    after(9 * 60_000);
    expect(await workspace.isEnrolled("ephemeral-unused", serial)).toBe(true);
    after(2 * 60_000);
    expect(await workspace.isEnrolled("ephemeral-unused", serial)).toBe(false);
  });
});

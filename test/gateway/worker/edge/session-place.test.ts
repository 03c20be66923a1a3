/** Sessions at the edge: which box is asked for a request, what the agent is told, and what the client. */
import { env as bindings } from "cloudflare:test";
import { describe, expect, test } from "vitest";

import type { Env } from "../../../../gateway/contracts/env.ts";
import { namesShard } from "../../../../gateway/contracts/stubs.ts";
import type { RequestHead } from "../../../../routing/wire/heads.ts";
import type { ResponseSession } from "../../../../routing/wire/sessions.ts";
import {
  HANDSHAKE,
  announcement,
  ask,
  connectAgent,
  dialBack,
  enrolledBox,
} from "../../fake-agent.ts";

const env = bindings as unknown as Env;
const encoder = new TextEncoder();

/** A name that these boxes serve, by these rules. */
async function served(app: string, boxes: readonly string[], rules: string[]): Promise<string> {
  const { workspace, environment, endpoint, settings } = announcement(app, "f");
  const name = `local--${app}-f`;
  const appId = `ap-${app}`;
  const shard = await namesShard(env, name);
  const claimant = { owner: appId, workspace, kind: "deployed", startedAt: 0 } as const;
  const held = await shard.commit(name, claimant, {
    workspace,
    environment,
    app,
    appId,
    boxes: boxes.map((box) => ({ box, links: 1 })),
    endpoint,
    settings: { ...settings, affinity: { rules, mode: "soft" } },
  });
  expect(held).toBeUndefined();
  return name;
}

/** The keys that a box is asked for, and those that it has. */
interface AskedBox {
  readonly has?: readonly string[];
  /** Boxes by the first key of a claim that came before. */
  readonly claims?: Map<string, string>;
}

/** A box that responds with its own name, from the container that `session` says. */
async function containing(
  box: string,
  session: (head: RequestHead) => ResponseSession | undefined = () => ({
    container: `ct-${box.length}`,
    state: "new",
  }),
  { has = [], claims = new Map() }: AskedBox = {},
) {
  const opened: RequestHead[] = [];
  const bodies: number[] = [];
  const asked: string[] = [];
  const agent = await connectAgent(box, {
    open: (stream, head, body, end) => {
      opened.push(head);
      let bytes = body.length;
      const respond = (): void => {
        bodies.push(bytes);
        const said = {
          status: 200,
          headers: ["content-type", "text/plain"],
          session: session(head),
        };
        stream.sendHead(JSON.stringify(said), [encoder.encode(box)], true);
      };
      if (end) respond();
      return {
        onData: (data, isLast) => {
          bytes += data.length;
          stream.consume(data.length);
          if (isLast) respond();
        },
      };
    },
    operate: (stream, { operation, parameters }) => {
      asked.push(operation);
      const { keys, box: wanted = "" } = parameters as { keys: string[]; box?: string };
      const [first = ""] = keys;
      if (operation === "claimSession" && !claims.has(first)) claims.set(first, wanted);
      const answer =
        operation === "claimSession"
          ? { box: claims.get(first) }
          : { found: keys.some((key) => has.includes(key)) };
      stream.sendHead(
        JSON.stringify({ status: 200, headers: [] }),
        [encoder.encode(JSON.stringify(answer))],
        true,
      );
      return {};
    },
  });
  return { opened, bodies, asked, close: () => agent.close() };
}

/** The value of the cookie that a response sets. */
function cookieOf(response: Response): string {
  const [line = ""] = response.headers.getSetCookie();
  return line.split(";", 1)[0] ?? "";
}

describe("a request of an endpoint with affinity", () => {
  test("tells the agent its keys, and where there are none says so", async () => {
    const name = await served("keys", ["keys-1"], ["header:x-user", "query:q"]);
    const box = await containing("keys-1");
    await ask(name, "/?q=1", { headers: { "x-user": "ann", "modal-session-id": "s" } });
    await ask(name);
    expect(box.opened.map(({ session }) => session)).toEqual([
      { keys: ["modal-session-id=s", "header:x-user=ann", "query:q=1"] },
      { keys: [] },
    ]);
  });

  test("has no session where affinity is off, or where no rule is known", async () => {
    const name = await served("unknown-rules", ["unknown-rules-1"], ["moon-phase"]);
    const box = await containing("unknown-rules-1", () => undefined);
    const response = await ask(name, "/", { headers: { "modal-session-id": "s" } });
    expect(box.opened[0]).not.toHaveProperty("session");
    expect(response.headers.getSetCookie()).toEqual([]);
  });

  test("has the key of its body, and the app gets each byte of it", async () => {
    const name = await served("bodies", ["bodies-1"], ["gradio"]);
    const box = await containing("bodies-1");
    for (const fill of [0, 60_000, 200_000, 1_000_000]) {
      const body = JSON.stringify({ data: ["x".repeat(fill)], session_hash: `h${fill}` });
      const headers = { "content-type": "application/json", "content-length": `${body.length}` };
      const response = await ask(name, "/queue/join", { method: "POST", body, headers });
      expect(response.status).toBe(200);
      expect(box.opened.at(-1)?.session?.keys).toEqual([`session_hash=h${fill}`]);
      expect(box.bodies.at(-1)).toBe(body.length);
    }
  });

  test("has no key of a body that is too long, and the app gets it all the same", async () => {
    const name = await served("long", ["long-1"], ["gradio"]);
    const box = await containing("long-1");
    const body = JSON.stringify({ data: ["x".repeat(1_200_000)], session_hash: "h" });
    const headers = { "content-type": "application/json", "content-length": `${body.length}` };
    await ask(name, "/queue/join", { method: "POST", body, headers });
    expect(box.opened[0]?.session).toEqual({ keys: [] });
    expect(box.bodies).toEqual([body.length]);
  });
});

describe("the cookie", () => {
  test("names the place of the session, comes back, and never reaches the app", async () => {
    const name = await served("cookie", ["cookie-1"], ["cookie"]);
    const box = await containing("cookie-1");
    const first = await ask(name);
    expect(first.headers.getSetCookie()).toEqual([
      expect.stringMatching(/^postern_affinity=[a-z2-7]{16}:cookie-1:ct-8:.*; Path=\/; HttpOnly; /),
    ]);
    const second = await ask(name, "/", { headers: { cookie: `a=b; ${cookieOf(first)}` } });
    expect(second.headers.getSetCookie()).toEqual([]);
    const id = /=([a-z2-7]+):/.exec(cookieOf(first))?.[1] ?? "";
    expect(box.opened[1]?.session).toEqual({ keys: [`cookie=${id}`], container: "ct-8" });
    const cookies = box.opened[1]?.headers ?? [];
    expect(cookies[cookies.indexOf("cookie") + 1]).toBe("a=b");
  });

  test("is set anew under the same id where the session's place is another one now", async () => {
    const name = await served("moved", ["moved-1"], ["cookie"]);
    let session: ResponseSession = { container: "ct-1", state: "new" };
    await containing("moved-1", () => session);
    const first = await ask(name);
    session = { container: "ct-2", state: "moved" };
    const second = await ask(name, "/", { headers: { cookie: cookieOf(first) } });
    expect(second.headers.get("postern-session")).toBe("moved");
    expect(cookieOf(second)).toMatch(/:ct-2:/);
    expect(cookieOf(second).slice(0, 34)).toBe(cookieOf(first).slice(0, 34));
    session = { container: "ct-2", state: "kept" };
    const third = await ask(name, "/", { headers: { cookie: cookieOf(second) } });
    expect(third.headers.get("postern-session")).toBeNull();
    expect(third.headers.getSetCookie()).toEqual([]);
  });

  test("is not set with a response that caches keep for everybody", async () => {
    const name = await served("public", ["public-1"], ["cookie"]);
    const session = { container: "ct-1", state: "new" };
    await connectAgent("public-1", {
      open: (stream, { target }) => {
        const headers = ["cache-control", target.slice(1).replace("+", ", ")];
        stream.sendHead(JSON.stringify({ status: 200, headers, session }), [], true);
        return {};
      },
    });
    const counts = [];
    for (const control of ["public+max-age=60", "s-maxage=60", "private", "no-store"]) {
      counts.push((await ask(name, `/${control}`)).headers.getSetCookie().length);
    }
    expect(counts).toEqual([0, 0, 1, 1]);
  });

  test("keeps its place beside a key that has another one", async () => {
    const name = await served("two-pages", ["two-pages-1"], ["query:s", "cookie"]);
    await containing("two-pages-1", ({ target }) => ({
      container: target.includes("s=") ? "ct-2" : "ct-1",
      state: "kept",
    }));
    const cookie = cookieOf(await ask(name));
    const beside = await ask(name, "/?s=1", { headers: { cookie } });
    expect(beside.headers.getSetCookie()).toEqual([]);
  });

  test("of another endpoint, or with one character changed, is no key", async () => {
    const name = await served("own", ["own-1"], ["cookie"]);
    const other = await served("other", ["other-1"], ["cookie"]);
    const box = await containing("own-1");
    await containing("other-1");
    const foreign = cookieOf(await ask(other));
    const own = cookieOf(await ask(name));
    for (const cookie of [
      foreign,
      own.replace(":ct-5:", ":ct-6:"),
      `${own}x`,
      "postern_affinity=",
    ]) {
      await ask(name, "/", { headers: { cookie } });
      expect(box.opened.at(-1)?.session).toEqual({ keys: [] });
    }
    // A neighbour's page may have set one of its own beside it.
    await ask(name, "/", { headers: { cookie: `${foreign}; ${own}` } });
    expect(box.opened.at(-1)?.session?.keys).toHaveLength(1);
  });

  test("is not set where it is no rule", async () => {
    const name = await served("no-cookie", ["no-cookie-1"], ["mcp"]);
    await containing("no-cookie-1");
    expect((await ask(name)).headers.getSetCookie()).toEqual([]);
  });

  test("is no part of the caller that an Idempotency-Key belongs to", async () => {
    const name = await served("caller", ["caller-1"], ["cookie"]);
    const box = await containing("caller-1");
    const headers = { "idempotency-key": "k" };
    const first = await ask(name, "/", { method: "POST", headers });
    const again = { ...headers, cookie: cookieOf(first) };
    await ask(name, "/", { method: "POST", headers: again });
    expect(box.opened[1]?.key).toBe(box.opened[0]?.key);
  });
});

describe("on several boxes a session goes to its own", () => {
  const boxes = (app: string): string[] => [1, 2, 3, 4].map((number) => `${app}-${number}`);

  test("by its cookie, whatever this isolate remembers", async () => {
    const name = await served("by-cookie", boxes("by-cookie"), ["cookie"]);
    for (const box of boxes("by-cookie")) await containing(box);
    const first = await ask(name);
    const box = await first.text();
    for (let turn = 0; turn < 12; turn += 1) {
      const response = await ask(name, "/", { headers: { cookie: cookieOf(first) } });
      expect(await response.text()).toBe(box);
      expect(response.headers.getSetCookie()).toEqual([]);
    }
  });

  test("by a key that was seen on it, before its cookie", async () => {
    const name = await served("by-key", boxes("by-key"), ["query:s", "cookie"]);
    for (const box of boxes("by-key")) await containing(box);
    const home = await (await ask(name, "/?s=1")).text();
    let elsewhere = await ask(name);
    while ((await elsewhere.clone().text()) === home) elsewhere = await ask(name);
    const headers = { cookie: cookieOf(elsewhere) };
    for (let turn = 0; turn < 6; turn += 1) {
      expect(await (await ask(name, "/?s=1", { headers })).text()).toBe(home);
      expect(await (await ask(name, "/", { headers })).text()).not.toBe(home);
    }
  });

  test("and to another one where its own is away, whose place it has from then on", async () => {
    const name = await served("by-away", boxes("by-away"), ["cookie"]);
    const agents = new Map<string, { close(): void }>();
    for (const box of boxes("by-away")) {
      agents.set(box, await containing(box, () => ({ container: "ct-1", state: "moved" })));
    }
    const first = await ask(name);
    const own = await first.text();
    agents.get(own)?.close();
    const second = await ask(name, "/", { headers: { cookie: cookieOf(first) } });
    const next = await second.text();
    expect(next).not.toBe(own);
    expect(second.headers.get("postern-session")).toBe("moved");
    const third = await ask(name, "/", { headers: { cookie: cookieOf(second) } });
    expect(await third.text()).toBe(next);
  });

  test("but for a call under a key, which has a home, and is no call of the session elsewhere", async () => {
    const name = await served("keyed", boxes("keyed"), ["cookie"]);
    const agents = new Map<string, RequestHead[]>();
    for (const box of boxes("keyed")) agents.set(box, (await containing(box)).opened);
    const first = await ask(name);
    const own = await first.text();
    for (let turn = 0; turn < 12; turn += 1) {
      const headers = { cookie: cookieOf(first), "idempotency-key": `k${turn}` };
      const response = await ask(name, "/", { method: "POST", headers });
      const box = await response.text();
      const head = agents.get(box)?.at(-1);
      expect(head?.session === undefined).toBe(box !== own);
      expect(response.headers.getSetCookie()).toEqual([]);
    }
  });

  test("and a conversation to where its cache is, in each isolate alike", async () => {
    const name = await served("prompts", boxes("prompts"), ["llm"]);
    for (const box of boxes("prompts")) await containing(box, () => undefined);
    const boxOf = async (content: string, more: string[] = []): Promise<string> => {
      const messages = [content, ...more].map((text) => ({ role: "user", content: text }));
      const body = JSON.stringify({ messages });
      const headers = { "content-type": "application/json", "content-length": `${body.length}` };
      return await (
        await ask(name, "/v1/chat/completions", { method: "POST", body, headers })
      ).text();
    };
    const seen = new Set<string>();
    for (let chat = 0; chat < 12; chat += 1) {
      const box = await boxOf(`chat ${chat}`);
      expect(await boxOf(`chat ${chat}`, ["and then?"])).toBe(box);
      seen.add(box);
    }
    expect(seen.size).toBeGreaterThan(1);
  });
});

describe("on several boxes a session that this isolate does not know", () => {
  const boxes = (app: string): string[] => [1, 2, 3].map((number) => `${app}-${number}`);

  test("is on the box that says so, which is asked once", async () => {
    const name = await served("asked", boxes("asked"), ["query:s"]);
    const asked = [];
    for (const box of boxes("asked")) {
      const has = box === "asked-2" ? ["query:s=1"] : [];
      asked.push((await containing(box, undefined, { has })).asked);
    }
    for (let turn = 0; turn < 8; turn += 1) {
      expect(await (await ask(name, "/?s=1")).text()).toBe("asked-2");
    }
    expect(asked).toEqual([["findSession"], ["findSession"], ["findSession"]]);
  });

  test("is on the box that has its container rather than on one that has a file of it", async () => {
    const name = await served("file", boxes("file"), ["gradio"]);
    const folder = "0f".repeat(32);
    const keys = new Map([
      ["file-1", [`file=${folder}`]],
      ["file-3", ["session_hash=h"]],
    ]);
    for (const box of boxes("file")) {
      await containing(box, undefined, { has: keys.get(box) ?? [] });
    }
    const target = `/file=/tmp/gradio/${folder}/cat.png`;
    expect(await (await ask(name, `${target}?session_hash=h`)).text()).toBe("file-3");
    expect(await (await ask(name, target)).text()).toBe("file-1");
  });

  test("and that none of them has is claimed at its home: whoever claims first places it", async () => {
    const name = await served("claimed", boxes("claimed"), ["query:s"]);
    const claims = new Map(Array.from({ length: 9 }, (_, s) => [`query:s=${s}`, "claimed-3"]));
    for (const box of boxes("claimed")) await containing(box, undefined, { claims });
    // Of requests that come at once none may go to the box that another one would have chosen.
    const answers = await Promise.all(
      Array.from(
        { length: 36 },
        async (_, turn) => await (await ask(name, `/?s=${turn % 9}`)).text(),
      ),
    );
    expect(new Set(answers)).toEqual(new Set(["claimed-3"]));
  });

  test("has one box, though its first requests come at once", async () => {
    const name = await served("at-once", boxes("at-once"), ["query:s"]);
    const claims = new Map<string, string>();
    for (const box of boxes("at-once")) await containing(box, undefined, { claims });
    const answers = await Promise.all(
      Array.from({ length: 24 }, async (_, turn) => [
        turn % 4,
        await (await ask(name, `/?s=${turn % 4}`)).text(),
      ]),
    );
    expect(new Set(answers.map(String)).size).toBe(4);
  });

  test("is placed where it can be, when its boxes do not say", async () => {
    const name = await served("silent", boxes("silent"), ["query:s"]);
    const agent = await connectAgent("silent-2", {
      open: (stream) => {
        stream.sendHead(JSON.stringify({ status: 200, headers: [] }), [encoder.encode("ok")], true);
        return {};
      },
      operate: (stream) => {
        stream.refuse({ code: "not_supported", detail: "an older agent" });
        return {};
      },
    });
    expect(await (await ask(name, "/?s=1")).text()).toBe("ok");
    agent.close();
  });
});

describe("a WebSocket", () => {
  test("goes by the same rules, and its handshake's response sets the cookie", async () => {
    const name = await served("socket", ["socket-1"], ["cookie"]);
    const opened: RequestHead[] = [];
    const identity = await enrolledBox("socket-1");
    await connectAgent("socket-1", {
      open: (stream, head) => {
        opened.push(head);
        const session = { container: "ct-1", state: "new" };
        stream.sendHead(JSON.stringify({ status: 101, headers: [], session }), [], false);
        void dialBack(identity, head.websocket ?? "");
        return {};
      },
    });
    const headers = { ...HANDSHAKE, "modal-session-id": "s" };
    const response = await ask(name, "/", { headers });
    expect(response.status).toBe(101);
    response.webSocket?.accept();
    response.webSocket?.close(1000);
    expect(opened[0]?.session).toEqual({ keys: ["modal-session-id=s"] });
    expect(cookieOf(response)).toMatch(/:socket-1:ct-1:/);
  });
});

describe("a session that is lost", () => {
  const lost = { code: "session_lost", detail: "session_lost: its container is gone" } as const;
  const losing = async (app: string): Promise<void> => {
    await connectAgent(`${app}-1`, {
      open: (stream, { session }) => {
        if (session?.keys.length === 0) {
          const head = { status: 200, headers: [], session: { container: "ct-1", state: "new" } };
          stream.sendHead(JSON.stringify(head), [], true);
        } else stream.refuse(lost);
        return {};
      },
    });
  };

  test("gets 410, and its cookie ends", async () => {
    const name = await served("lost", ["lost-1"], ["cookie"]);
    await losing("lost");
    const cookie = cookieOf(await ask(name));
    const response = await ask(name, "/", { headers: { cookie, accept: "application/json" } });
    expect(response.status).toBe(410);
    expect(await response.json()).toMatchObject({
      status: 410,
      code: "session_lost",
      detail: lost.detail,
    });
    expect(response.headers.getSetCookie()).toEqual([
      expect.stringMatching(/^postern_affinity=; Path=\/; HttpOnly; .*; Max-Age=0$/),
    ]);
  });

  test("gets 404 with the preset mcp, whose clients begin anew", async () => {
    const name = await served("lost-mcp", ["lost-mcp-1"], ["mcp"]);
    await losing("lost-mcp");
    const headers = { "mcp-session-id": "m", accept: "application/json" };
    const response = await ask(name, "/", { headers });
    expect(response.status).toBe(404);
    expect(await response.json()).toMatchObject({ status: 404, code: "session_lost" });
    expect(response.headers.getSetCookie()).toEqual([]);
  });
});

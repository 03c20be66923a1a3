import { env as bindings } from "cloudflare:test";
import { afterEach, describe, expect, test, vi } from "vitest";

import { type FormerBoxes, homeBox } from "../../../../routing/boxes.ts";
import type { RequestHead } from "../../../../routing/wire/heads.ts";
import type { PoolLoad } from "../../../../routing/wire/pool-load.ts";
import type { Failure } from "../../../../routing/wire/messages.ts";
import type { Stream } from "../../../../routing/wire/multiplexer.ts";
import type { Env } from "../../../../gateway/contracts/env.ts";
import { namesShard } from "../../../../gateway/contracts/stubs.ts";
import { HANDSHAKE, announcement, ask, connectAgent } from "../../fake-agent.ts";

const env = bindings as unknown as Env;
const OK = '{"status":200,"headers":["content-type","text/plain"]}';
const encoder = new TextEncoder();

afterEach(() => {
  vi.useRealTimers();
});

/** A name that these boxes serve, whoever of them is connected. */
async function served(
  app: string,
  boxes: readonly string[],
  formerBoxes: readonly FormerBoxes[] = [],
): Promise<string> {
  const { workspace, environment, endpoint, settings } = announcement(app, "f");
  const name = `local--${app}-f`;
  const appId = `ap-${app}`;
  const shard = await namesShard(env, name);
  const held = await shard.commit(
    name,
    { owner: appId, workspace, kind: "deployed", startedAt: 0 },
    {
      workspace,
      environment,
      app,
      appId,
      boxes: boxes.map((box) => ({ box, links: 1 })),
      formerBoxes: [...formerBoxes],
      endpoint,
      settings,
    },
  );
  expect(held).toBeUndefined();
  return name;
}

const IDLE: PoolLoad = { running: 0, waiting: 0, room: 10, coming: 0 };
const FULL: PoolLoad = { running: 10, waiting: 0, room: 0, coming: 0 };

/**
 * A box that answers with its own name, and what it was asked.
 * @param keys those of the calls that it knows, hashed; it learns new ones
 * @param load without room it refuses calls that it may refuse
 */
async function answering(box: string, keys = new Set<string>(), load = IDLE) {
  const opened: RequestHead[] = [];
  const bodies: string[] = [];
  const askedFor: string[] = [];
  const loadsOf: unknown[] = [];
  const agent = await connectAgent(box, {
    open: (stream, head, body, end) => {
      opened.push(head);
      if (head.mayRefuse === true && load.room === 0) {
        stream.refuse({ code: "queue_full", detail: "no room", load });
        return {};
      }
      if (head.key !== undefined) keys.add(head.key);
      let text = new TextDecoder().decode(body);
      const answer = (): void => {
        bodies.push(text);
        stream.sendHead(OK, [encoder.encode(box)], true);
      };
      if (end) answer();
      return {
        onData: (bytes, isLast) => {
          text += new TextDecoder().decode(bytes);
          stream.consume(bytes.length);
          if (isLast) answer();
        },
      };
    },
    operate: (stream, { operation, parameters }) => {
      if (operation === "poolLoad") {
        loadsOf.push(parameters);
        stream.sendHead(OK, [encoder.encode(JSON.stringify(load))], true);
        return {};
      }
      expect(operation).toBe("releaseKey");
      const { key } = parameters as { key: string };
      askedFor.push(key);
      const answer = encoder.encode(JSON.stringify({ released: !keys.has(key) }));
      stream.sendHead(OK, [answer], true);
      return {};
    },
  });
  return { opened, bodies, askedFor, loadsOf, close: () => agent.close() };
}

/** A box that refuses everything. */
async function refusing(box: string, failure: Failure) {
  const opened: RequestHead[] = [];
  await connectAgent(box, {
    open: (stream, head) => {
      opened.push(head);
      stream.refuse(failure);
      return {};
    },
  });
  return { opened };
}

const times = <Result>(count: number, work: (turn: number) => Promise<Result>) =>
  Promise.all(Array.from({ length: count }, (_, turn) => work(turn)));

describe("an endpoint on several boxes", () => {
  test("is served by all of them", async () => {
    const name = await served("several-all", ["all-1", "all-2", "all-3"]);
    for (const box of ["all-1", "all-2", "all-3"]) await answering(box);
    const answers = await times(60, async () => await (await ask(name)).text());
    expect(new Set(answers)).toEqual(new Set(["all-1", "all-2", "all-3"]));
  });

  test("is served by those that are connected", async () => {
    const name = await served("several-some", ["some-1", "some-2", "some-3"]);
    await answering("some-2");
    const answers = await times(
      20,
      async () => await (await ask(name, "/", { method: "POST", body: "x" })).text(),
    );
    expect(new Set(answers)).toEqual(new Set(["some-2"]));
  });

  test("goes on to the next box where one refuses or is full, and runs each call once", async () => {
    const name = await served("several-refusing", ["refusing-1", "refusing-2", "refusing-3"]);
    await refusing("refusing-1", { code: "no_origin", detail: "the box is stopping" });
    await refusing("refusing-2", { code: "queue_full", detail: "full", retryAfter: 1 });
    const third = await answering("refusing-3");
    const answers = await times(20, async () => await (await ask(name)).text());
    expect(new Set(answers)).toEqual(new Set(["refusing-3"]));
    expect(new Set(third.opened.map(({ callId }) => callId)).size).toBe(20);
    expect(third.opened).toHaveLength(20);
  });

  test("does not go on where a box may have begun the call", async () => {
    const name = await served("several-failing", ["failing-1", "failing-2"]);
    const opened: string[] = [];
    for (const box of ["failing-1", "failing-2"]) {
      await connectAgent(box, {
        open: (stream: Stream, head) => {
          opened.push(head.callId);
          stream.reset({ code: "origin_error", detail: "the app broke" });
          return {};
        },
      });
    }
    expect((await ask(name)).status).toBe(502);
    expect(opened).toHaveLength(1);
  });

  test("says what a connected box said, where no box takes the call", async () => {
    const name = await served("several-full", ["full-1", "full-2", "full-3"]);
    await refusing("full-2", { code: "queue_full", detail: "the queue is full", retryAfter: 1 });
    const statuses = await times(10, async () => (await ask(name)).status);
    expect(new Set(statuses)).toEqual(new Set([429]));
  });

  test("is 503 while none of them is connected", async () => {
    const name = await served("several-away", ["away-1", "away-2"]);
    const response = await ask(name, "/", { headers: { accept: "application/json" } });
    expect(response.status).toBe(503);
    expect(await response.json()).toMatchObject({ code: "no_origin" });
  });

  test("gives a streamed body to a box that is there, whole", async () => {
    const name = await served("several-streamed", ["streamed-1", "streamed-2", "streamed-3"]);
    const box = await answering("streamed-3");
    const body = "0123456789".repeat(20_000);
    const answers = await times(6, async () => {
      const { readable, writable } = new IdentityTransformStream();
      const writer = writable.getWriter();
      void writer.write(encoder.encode(body)).then(async () => await writer.close());
      return await (await ask(name, "/", { method: "POST", body: readable })).text();
    });
    expect(new Set(answers)).toEqual(new Set(["streamed-3"]));
    expect(box.bodies).toHaveLength(6);
    expect(new Set(box.bodies)).toEqual(new Set([body]));
  });

  test("gives a call to a box that has room, or to any where none has", async () => {
    const name = await served("several-roomy", ["roomy-1", "roomy-2", "roomy-3"]);
    const first = await answering("roomy-1", undefined, FULL);
    const second = await answering("roomy-2", undefined, { ...FULL, waiting: 5 });
    for (let turn = 0; turn < 4; turn += 1) expect(await (await ask(name)).text()).toBe("roomy-1");
    expect(first.opened.at(-1)).toMatchObject({ mayRefuse: false });
    expect(second.opened[0]).toMatchObject({ mayRefuse: true });
    await answering("roomy-3");
    await expect.poll(async () => await (await ask(name)).text()).toBe("roomy-3");
    const before = first.opened.length + second.opened.length;
    expect(await (await ask(name, "/", { headers: HANDSHAKE })).text()).toBe("roomy-3");
    expect(first.opened.length + second.opened.length - before).toBe(0);
  });

  test("gives no streamed body away before a box has room for it", async () => {
    const name = await served("several-lengthy", ["lengthy-1", "lengthy-2"]);
    const full = await answering("lengthy-1", undefined, FULL);
    const roomy = await answering("lengthy-2");
    const body = "0123456789".repeat(20_000);
    for (let turn = 0; turn < 4; turn += 1) {
      const { readable, writable } = new IdentityTransformStream();
      const writer = writable.getWriter();
      void writer.write(encoder.encode(body)).then(async () => await writer.close());
      const answer = await ask(name, "/?model=a", { method: "POST", body: readable });
      expect(await answer.text()).toBe("lengthy-2");
    }
    // A box may have room for some parameters alone.
    const asked = { endpoint: "main/several-lengthy/f", target: "/?model=a", mayRefuse: true };
    expect(roomy.loadsOf).toEqual(Array.from({ length: 4 }, () => asked));
    expect(full.opened).toEqual([]);
    expect(roomy.bodies).toEqual(Array.from({ length: 4 }, () => body));
  });

  test("gives a WebSocket to a box that is there", async () => {
    const name = await served("several-sockets", ["sockets-1", "sockets-2"]);
    const box = await answering("sockets-2");
    for (let turn = 0; turn < 4; turn += 1) {
      // The app refuses the handshake, and its answer is passed on.
      const response = await ask(name, "/", { headers: HANDSHAKE });
      expect(await response.text()).toBe("sockets-2");
    }
    expect(box.opened).toHaveLength(4);
  });
});

describe("calls under an Idempotency-Key", () => {
  const withKey = (key: string) => ({ headers: { "idempotency-key": `"${key}"` } });

  test("all go to their key's home box, and to no other while it is away", async () => {
    const boxes = ["home-1", "home-2"];
    const name = await served("several-keyed", boxes);
    const first = await answering("home-1");
    const second = await answering("home-2");
    const homes = new Map<string, string>();
    await times(20, async (turn) => {
      homes.set(`k-${turn}`, await (await ask(name, "/", withKey(`k-${turn}`))).text());
    });
    expect(new Set(homes.values())).toEqual(new Set(boxes));
    for (const { key } of [...first.opened, ...second.opened]) {
      const places = boxes.map((box) => ({ box }));
      const home = homeBox(key ?? "", places)?.box;
      expect((home === "home-1" ? first : second).opened.some((head) => head.key === key)).toBe(
        true,
      );
    }
    second.close();
    await expect
      .poll(async () => {
        const of2 = [...homes].find(([, box]) => box === "home-2")?.[0] ?? "";
        return (await ask(name, "/", withKey(of2))).status;
      })
      .toBe(503);
    const before = first.opened.length;
    for (const [key, box] of homes) {
      const response = await ask(name, "/", withKey(key));
      expect(response.status).toBe(box === "home-1" ? 200 : 503);
    }
    expect(first.opened.length - before).toBe(
      [...homes.values()].filter((box) => box === "home-1").length,
    );
  });
});

describe("calls under a key whose boxes have changed", () => {
  /** A link that is silent for longer counts as lost. */
  const soon = (): number => Date.now() + 9_000;
  const post = (name: string, key: string) =>
    ask(name, "/", { method: "POST", body: "x", headers: { "idempotency-key": key } });
  const KEYS = Array.from({ length: 16 }, (_, number) => `k-${number}`);

  test("go where their call is, and new ones to their home, which stays when the former time ends", async () => {
    const until = soon();
    const before = await served("moving", ["moving-1"]);
    const first = await answering("moving-1");
    for (const key of KEYS) expect(await (await post(before, key)).text()).toBe("moving-1");
    const known = new Set(first.opened.map(({ key }) => key));
    const after = await served(
      "moving",
      ["moving-1", "moving-2"],
      [{ boxes: ["moving-1"], untilMs: until }],
    );
    // What the isolate remembers of the name is too old now.
    vi.useFakeTimers({ toFake: ["Date"] });
    vi.setSystemTime(Date.now() + 6_000);
    const second = await answering("moving-2");
    for (const key of KEYS) expect(await (await post(after, key)).text()).toBe("moving-1");
    expect(second.opened).toEqual([]);
    // A box that said so is to join the call, and never to run another one.
    const joined = first.opened.slice(KEYS.length).filter(({ joins }) => joins === true);
    expect(new Set(joined.map(({ key }) => key))).toEqual(new Set(first.askedFor));
    expect(first.askedFor.length).toBeGreaterThan(0);

    const fresh = KEYS.map((key) => `new-${key}`);
    const homes = new Map<string, string>();
    for (const key of fresh) homes.set(key, await (await post(after, key)).text());
    expect(new Set(homes.values())).toEqual(new Set(["moving-1", "moving-2"]));
    // A key whose home is the box that served before is asked of nobody.
    const asked = first.askedFor.filter((key) => !known.has(key));
    expect(new Set(asked)).toEqual(new Set(second.opened.map(({ key }) => key)));
    vi.setSystemTime(until);
    for (const key of fresh) expect(await (await post(after, key)).text()).toBe(homes.get(key));
  });

  test("are 503 while a box that may hold their call is away, and run nowhere", async () => {
    const name = await served(
      "leaving",
      ["leaving-2"],
      [
        { boxes: ["leaving-1"], untilMs: soon() },
        { boxes: ["leaving-3"], untilMs: soon() },
      ],
    );
    const held = new Set<string>();
    const second = await answering("leaving-2");
    const third = await answering("leaving-3", held);
    const refused = await post(name, "k");
    expect(refused.status).toBe(503);
    expect(refused.headers.get("retry-after")).toBe("1");
    expect(await refused.json()).toMatchObject({ code: "no_origin" });
    expect(second.opened).toEqual([]);
    // One that knows the key answers, whoever else is away.
    held.add(third.askedFor[0] ?? "");
    expect(await (await post(name, "k")).text()).toBe("leaving-3");
    // A call without a key asks nobody.
    expect(await (await ask(name, "/", { method: "POST", body: "x" })).text()).toBe("leaving-2");
  });

  test("keep a body that streams for the box that takes the call", async () => {
    const name = await served(
      "streaming",
      ["streaming-2"],
      [{ boxes: ["streaming-1"], untilMs: soon() }],
    );
    await answering("streaming-1");
    const second = await answering("streaming-2");
    const body = "0123456789".repeat(20_000);
    const { readable, writable } = new IdentityTransformStream();
    const writer = writable.getWriter();
    void writer.write(encoder.encode(body)).then(async () => await writer.close());
    const headers = { "idempotency-key": "k" };
    const answer = await ask(name, "/", { method: "POST", body: readable, headers });
    expect(await answer.text()).toBe("streaming-2");
    expect(second.bodies).toEqual([body]);
  });
});

describe("a result URL", () => {
  test("finds its call's box when a later version runs on other boxes", async () => {
    const name = await served("several-moved", ["moved-1"]);
    const opened: string[] = [];
    const attached: string[] = [];
    await connectAgent("moved-1", {
      open: (stream, head) => {
        opened.push(head.callId);
        stream.confirmDeferred({
          callId: head.callId,
          status: "pending",
          position: 0,
          elapsedMs: 0,
        });
        return {};
      },
      attach: (stream, { callId }) => {
        attached.push(callId);
        stream.sendHead(OK, [encoder.encode("the answer")], true);
        return {};
      },
    });
    const respondAsync = { headers: { prefer: "respond-async" }, redirect: "manual" } as const;
    const accepted = await ask(name, "/work", respondAsync);
    expect(accepted.status).toBe(202);
    const location = accepted.headers.get("location") ?? "";
    await served("several-moved", ["moved-2"]);
    await answering("moved-2");
    // What the isolate remembers of the name is too old now.
    vi.useFakeTimers({ toFake: ["Date"] });
    vi.setSystemTime(Date.now() + 6_000);
    expect(await (await ask(name, "/", { method: "POST" })).text()).toBe("moved-2");
    const answer = await ask(name, location);
    expect(await answer.text()).toBe("the answer");
    expect(attached).toEqual(opened);
  });
});

import { describe, expect, test } from "vitest";
import { HANDSHAKE, announcement, ask, connectAgent, dial, enrolledBox } from "../../fake-agent.ts";

const encoder = new TextEncoder();
const HELLO_WORLD = '{"status":200,"headers":["content-type","text/plain"]}';

describe("a call through the Worker and its objects", () => {
  test("reaches the agent as the client sent it and brings its answer back", async () => {
    const seen: string[] = [];
    await connectAgent("box-a", {
      endpoints: [announcement("a", "f")],
      open: (stream, head, body, end) => {
        seen.push(
          head.endpoint,
          head.method,
          head.target,
          new TextDecoder().decode(body),
          `${end}`,
        );
        stream.sendHead(HELLO_WORLD, [encoder.encode("hello")], true);
        return {};
      },
    });
    const response = await ask("local--a-f", "/x%2Fy?z=1", { method: "POST", body: "question" });
    expect(await response.text()).toBe("hello");
    expect(response.status).toBe(200);
    expect(response.headers.get("content-type")).toBe("text/plain");
    expect(response.headers.get("postern-call-id")).toMatch(/^[0-9a-f-]{36}$/);
    expect(seen).toEqual(["main/a/f", "POST", "/x%2Fy?z=1", "question", "true"]);
  });

  test("whose link was cut in mid-answer goes on at the byte where it was", async () => {
    const offsets: number[] = [];
    const first = await connectAgent("box-b", {
      endpoints: [announcement("b", "f")],
      open: (stream) => {
        stream.sendHead(HELLO_WORLD, [encoder.encode("one ")]);
        return {};
      },
    });
    const response = await ask("local--b-f");
    const reader = (response.body as ReadableStream<Uint8Array>).getReader();
    expect(new TextDecoder().decode((await reader.read()).value)).toBe("one ");
    first.close();
    await first.closed;
    await connectAgent("box-b", {
      endpoints: [announcement("b", "f")],
      attach: (stream, { offset }) => {
        offsets.push(offset);
        stream.sendHead(HELLO_WORLD, [encoder.encode("two")], true);
        return {};
      },
    });
    expect(new TextDecoder().decode((await reader.read()).value)).toBe("two");
    expect((await reader.read()).done).toBe(true);
    expect(offsets).toEqual([4]);
  });

  test("that failed at the app is answered with the failure's code", async () => {
    await connectAgent("box-c", {
      endpoints: [announcement("c", "f")],
      open: (stream) => {
        stream.reset({ code: "origin_error", detail: "it reset the connection" });
        return {};
      },
    });
    const response = await ask("local--c-f", "/", { headers: { accept: "application/json" } });
    expect(response.status).toBe(502);
    expect(await response.json()).toMatchObject({ code: "origin_error", status: 502 });
  });

  test.each([
    ["refused", "queue_full", 429],
    ["reset", "origin_error", 502],
  ] as const)("for a WebSocket that is %s says why: %s", async (how, code, status) => {
    const name = `ws-${how}`;
    await connectAgent(`box-${name}`, {
      endpoints: [announcement(name, "f")],
      open: (stream) => {
        const failure = { code, detail: "so it is" };
        if (how === "reset") stream.reset(failure);
        else stream.refuse(failure);
        return {};
      },
    });
    const headers = { accept: "application/json", ...HANDSHAKE };
    const response = await ask(`local--${name}-f`, "/", { headers });
    expect(response.status).toBe(status);
    expect(await response.json()).toMatchObject({ code, detail: "so it is" });
  });

  test("to an endpoint whose box is away is 503 at once, with Retry-After", async () => {
    const agent = await connectAgent("box-d", { endpoints: [announcement("d", "f")] });
    agent.close();
    await agent.closed;
    const response = await ask("local--d-f");
    expect(response.status).toBe(503);
    expect(response.headers.get("retry-after")).toBe("1");
    await response.text();
  });

  test("to a name that nobody holds is 404", async () => {
    const response = await ask("local--nobody-here");
    expect(response.status).toBe(404);
    expect(await response.text()).toContain("no_such_endpoint");
    expect(response.headers.get("x-request-id")).toMatch(/^[\w-]{36}$/);
  });

  test("is not resent when the agent that answers may not be the one that ran it", async () => {
    const opened: string[] = [];
    const first = await connectAgent("box-e", {
      endpoints: [announcement("e", "f")],
      open: (_stream, head) => {
        opened.push(head.callId);
        return {};
      },
    });
    const response = ask("local--e-f", "/", { method: "POST", body: "once" });
    await expect.poll(() => opened.length).toBe(1);
    first.close();
    await first.closed;
    await connectAgent("box-e", {
      incarnation: "b".repeat(32),
      endpoints: [announcement("e", "f")],
      open: (_stream, head) => {
        opened.push(head.callId);
        return {};
      },
      attach: (stream) => {
        stream.refuse({ code: "call_lost", detail: "unknown", knownSinceMs: 0 });
        return {};
      },
    });
    const answer = await response;
    expect(answer.status).toBe(502);
    expect(await answer.text()).toContain("call_lost");
    expect(opened).toHaveLength(1);
  });

  test("is sent again when the same agent says that it never came", async () => {
    let opened = 0;
    const behaviour = {
      endpoints: [announcement("g", "f")],
      open: (stream: import("../../../../routing/wire/multiplexer.ts").Stream) => {
        opened += 1;
        if (opened === 2) stream.sendHead(HELLO_WORLD, [encoder.encode("second")], true);
        return {};
      },
      attach: (stream: import("../../../../routing/wire/multiplexer.ts").Stream) => {
        stream.refuse({ code: "call_lost", detail: "unknown", knownSinceMs: 60_000 });
        return {};
      },
    };
    const first = await connectAgent("box-g", behaviour);
    const response = ask("local--g-f", "/", { method: "POST", body: "again" });
    await expect.poll(() => opened).toBe(1);
    first.close();
    await first.closed;
    await connectAgent("box-g", behaviour);
    expect(await (await response).text()).toBe("second");
  });
});

describe("a link", () => {
  test("of a second agent under a box's name is refused while the first lives", async () => {
    await connectAgent("box-i");
    const response = await dial(await enrolledBox("box-i"), "c".repeat(32));
    expect(response.status).toBe(409);
    expect(await response.text()).toContain("another agent is connected as box box-i");
  });

  test("of the same agent replaces its older one", async () => {
    const older = await connectAgent("box-j");
    await connectAgent("box-j");
    expect((await older.closed).code).toBe(4000);
  });

  test("that speaks no common version is closed with a line that says so", async () => {
    await expect(connectAgent("box-k", { versions: [99] })).rejects.toThrow(/4001.*protocol 2/);
  });

  test("that is older is spoken to in its version, and its calls are not begun parked", async () => {
    const windows: number[] = [];
    const older = await connectAgent("box-older", {
      versions: [1, 2],
      endpoints: [announcement("older", "f")],
      open: (stream) => {
        windows.push(stream.window);
        stream.park();
        stream.sendHead('{"status":200,"headers":[]}', [], true);
        return {};
      },
    });
    expect(older.welcome.version).toBe(2);
    expect((await ask("local--older-f")).status).toBe(200);
    expect(windows).toEqual([64 * 1024]);
  });

  test("cannot take a name that another box holds", async () => {
    await connectAgent("box-l", { endpoints: [announcement("l", "f")] });
    const second = await connectAgent("box-m", { endpoints: [announcement("l", "f")] });
    expect(second.welcome.endpoints).toEqual([
      {
        refused: "label_held",
        detail: "local--l-f belongs to l in environment main, which box box-l serves in place",
      },
    ]);
  });
});

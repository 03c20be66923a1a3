/** The rules of streams, frame by frame: who may say what, what is late, what is refused, what is bounded. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { KIB } from "../../../base/units.ts";
import {
  FRAME,
  FRAME_HEADER_BYTES,
  type FrameType,
  packFrames,
  ProtocolError,
  uint32,
} from "../../../routing/wire/frames.ts";
import {
  INITIAL_WINDOW_BYTES,
  MAX_INITIAL_WINDOWS_BYTES,
  MAX_GRANTED_BYTES_PER_LINK,
  MAX_DATA_BYTES,
  MAX_HEAD_BODY_BYTES,
  MAX_STREAMS_PER_LINK,
  MAX_WINDOW_BYTES,
  SHORT_WINDOW_BYTES,
} from "../../../routing/wire/limits.ts";
import { Multiplexer, type Stream } from "../../../routing/wire/multiplexer.ts";
import { type Accepted, Ear, message, pair } from "./ear.ts";
import { LinkPair } from "./link-pair.ts";

const NO_BODY = new Uint8Array(0);

/** A stream that is open at both ends. */
function opened(end = true): {
  link: LinkPair;
  client: Stream;
  ear: Ear;
  server: Stream;
  serverEar: Ear;
} {
  const { link, accepted } = pair();
  const ear = new Ear();
  const client = link.gateway.open("{}", NO_BODY, end, ear) as Stream;
  link.exchange();
  const { stream: server, ear: serverEar } = accepted[0] as Accepted;
  return { link, client, ear, server, serverEar };
}

const open = (
  granted: number,
  window: number,
  head = "{}",
  body: Uint8Array = NO_BODY,
): Uint8Array =>
  Buffer.concat([uint32(granted), uint32(window), uint32(head.length), Buffer.from(head), body]);
const head = (text = "{}", body: Uint8Array = NO_BODY): Uint8Array =>
  Buffer.concat([uint32(text.length), Buffer.from(text), body]);

describe("a stream's life", () => {
  test("a request whose body fits and its answer are one frame each", () => {
    const { link, accepted } = pair();
    const ear = new Ear();
    const client = link.gateway.open("request", new Uint8Array(100), true, ear) as Stream;
    link.flush();
    expect(link.toAgent).toHaveLength(1);
    link.exchange();
    const { stream, head: request, ear: serverEar } = accepted[0] as Accepted;
    expect([request, serverEar.heard]).toEqual(["request", ["open 100 end"]]);
    stream.sendHead("answer", [new Uint8Array(7), new Uint8Array(8)], true);
    link.exchange();
    expect(ear.heard).toEqual(["head answer 15 end"]);
    client.consume(15);
    client.finish();
    expect(link.gateway.streams).toBe(0);
    expect(link.agent.streams).toBe(1);
    link.exchange();
    expect(serverEar.heard.at(-1)).toBe("done");
    expect([link.agent.streams, link.agent.budget.granted, link.gateway.budget.granted]).toEqual([
      0, 0, 0,
    ]);
  });

  test("done waits for the next message and leaves with it, before everything else", () => {
    const { link, client, server } = opened();
    server.sendHead("{}", [], true);
    link.exchange();
    client.finish();
    expect(link.lazy).toBe(true);
    const next = link.gateway.open("next", NO_BODY, true, new Ear()) as Stream;
    expect(link.gateway.takeFrames().map(({ type, stream }) => [type, stream])).toEqual([
      [FRAME.DONE, client.id],
      [FRAME.OPEN, next.id],
    ]);
  });

  test.each([
    ["cancel", "cancelled"],
    ["detach", "detached"],
  ] as const)("the gateway's %s ends the stream at both ends", (verb, heard) => {
    const { link, client, ear, serverEar } = opened();
    client[verb]();
    client[verb]();
    link.exchange();
    expect(serverEar.heard.at(-1)).toBe(heard);
    expect(ear.heard).toEqual([]);
    expect([link.gateway.streams, link.agent.streams]).toEqual([0, 0]);
  });

  test("body that is framed in place leaves behind what waits, and its buffer is free", () => {
    const { link, accepted } = pair();
    const client = link.gateway.open("post", NO_BODY, false, new Ear()) as Stream;
    client.sendData([Uint8Array.of(1)]);
    const message = new Uint8Array(FRAME_HEADER_BYTES + 2);
    client.sendInPlace(message);
    expect(link.toAgent.length).toBe(2);
    client.sendInPlace(message.subarray(0, FRAME_HEADER_BYTES + 1));
    client.sendData([], true);
    message.fill(0xff);
    link.exchange();
    expect(accepted[0]?.ear.heard).toEqual(["open 0", "data 1", "data 2", "data 1", "data 0 end"]);
    expect(client.window).toBe(INITIAL_WINDOW_BYTES - 4);
    expect(() => client.sendInPlace(message)).toThrow(/closed/);
  });

  test("body that is framed in place has at most 512 KiB a frame, and fits the window", () => {
    const client = pair().link.gateway.open("post", NO_BODY, false, new Ear()) as Stream;
    const framed = (bytes: number) => new Uint8Array(FRAME_HEADER_BYTES + bytes);
    expect(() => client.sendInPlace(framed(INITIAL_WINDOW_BYTES + 1))).toThrow(/do not fit/);
    client.acceptCredit(MAX_DATA_BYTES);
    expect(() => client.sendInPlace(framed(MAX_DATA_BYTES + 1))).toThrow(/do not fit/);
    client.sendInPlace(framed(MAX_DATA_BYTES));
    expect(client.window).toBe(INITIAL_WINDOW_BYTES);
  });

  test("a response's head has at most 64 KiB of body with it, a frame after it 512 KiB", () => {
    const { link, ear, server } = opened();
    server.acceptCredit(MAX_WINDOW_BYTES - INITIAL_WINDOW_BYTES);
    expect(server.room).toBe(MAX_HEAD_BODY_BYTES);
    const refused = new Uint8Array(MAX_HEAD_BODY_BYTES + 1);
    expect(() => server.sendHead("{}", [refused])).toThrow(/do not fit/);
    server.sendHead("{}");
    expect(server.room).toBe(MAX_DATA_BYTES);
    expect(() => server.sendData([new Uint8Array(MAX_DATA_BYTES + 1)])).toThrow(/do not fit/);
    // As much as the gateway has granted.
    server.sendData([new Uint8Array(INITIAL_WINDOW_BYTES)], true);
    link.exchange();
    expect(ear.heard).toEqual(["head {} 0", `data ${INITIAL_WINDOW_BYTES} end`]);
  });

  test("an end that only packs frames says so", () => {
    const { server } = opened();
    expect(() => server.sendInPlace(new Uint8Array(FRAME_HEADER_BYTES))).toThrow(/only packs/);
  });

  test("a reset goes in either direction and carries its failure", () => {
    const failure = { code: "origin_error", detail: "x" } as const;
    const one = opened(false);
    one.server.reset(failure);
    one.link.exchange();
    expect(one.ear.heard).toEqual(["reset"]);
    const other = opened(false);
    other.client.reset({ code: "upload_interrupted", detail: "" });
    other.link.exchange();
    expect(other.serverEar.heard.at(-1)).toBe("reset");
    for (const { link } of [one, other]) {
      expect([link.gateway.streams, link.agent.streams]).toEqual([0, 0]);
      expect([link.gateway.budget.granted, link.agent.budget.granted]).toEqual([0, 0]);
    }
  });

  test("what crosses an ending on its way is late and ignored", () => {
    const { link, client, ear, server, serverEar } = opened(false);
    client.sendData([new Uint8Array(10)]);
    server.sendHead("{}", [new Uint8Array(5)]);
    server.consume(0);
    client.cancel();
    server.reset({ code: "origin_error", detail: "" });
    link.exchange();
    expect(ear.heard).toEqual([]);
    expect(serverEar.heard).toEqual(["open 0"]);
    expect([link.gateway.budget.granted, link.agent.budget.granted]).toEqual([0, 0]);
  });

  test("a lost link ends every stream once, at both ends", () => {
    const { link, client, ear, server, serverEar } = opened(false);
    server.sendHead("{}", [new Uint8Array(5)]);
    link.cut();
    link.cut();
    expect([ear.heard, serverEar.heard.at(-1)]).toEqual([["link_lost"], "link_lost"]);
    expect([client.closed, server.closed]).toEqual([true, true]);
    client.consume(5);
    expect([link.gateway.budget.granted, link.agent.budget.granted]).toEqual([0, 0]);
  });

  test("a message that arrives after the loss starts nothing", () => {
    const { link, accepted } = pair();
    link.gateway.open("{}", NO_BODY, true, new Ear());
    const late = Buffer.concat(packFrames(link.gateway.takeFrames()));
    link.cut();
    link.agent.receive(late);
    expect(accepted).toEqual([]);
  });

  test("a stream that is opened on a lost link hears of the loss at once", () => {
    const { link } = pair();
    link.cut();
    const ears = [new Ear(), new Ear()] as const;
    const streams = [
      link.gateway.open("{}", NO_BODY, false, ears[0]),
      link.gateway.attach("{}", ears[1]),
    ];
    expect(streams.map((stream) => stream?.closed)).toEqual([true, true]);
    expect(ears.map(({ heard }) => heard)).toEqual([["link_lost"], ["link_lost"]]);
    expect(link.gateway.takeFrames()).toEqual([]);
  });

  test("stream numbers go on behind any first number, never 0, never one in use", () => {
    const { link } = pair(0xfffffffe);
    const ids = Array.from(
      { length: 4 },
      () => (link.gateway.open("{}", NO_BODY, true, new Ear()) as Stream).id,
    );
    expect(ids).toEqual([0xfffffffe, 0xffffffff, 1, 2]);
  });

  test("sending on a closed stream, beyond its window or after END is the owner's mistake", () => {
    const { client, server } = opened(false);
    expect(() => client.sendData([new Uint8Array(INITIAL_WINDOW_BYTES + 1)])).toThrow(/do not fit/);
    client.sendData([], true);
    expect(() => client.sendData([new Uint8Array(1)])).toThrow(/is closed/);
    server.refuse({ code: "queue_full", detail: "" });
    expect(() => server.sendHead("{}")).toThrow(/is closed/);
  });
});

describe("credit", () => {
  test("flows back as the body is drained, and only then", () => {
    const { link, client, server, serverEar } = opened(false);
    client.sendData([new Uint8Array(INITIAL_WINDOW_BYTES)]);
    link.exchange();
    expect([client.window, serverEar.bytes]).toEqual([0, INITIAL_WINDOW_BYTES]);
    server.consume(INITIAL_WINDOW_BYTES);
    link.exchange();
    expect(client.window).toBe(2 * INITIAL_WINDOW_BYTES);
  });

  test("a shut window that opens is told once", () => {
    const { link, client, ear, server } = opened(false);
    client.sendData([new Uint8Array(INITIAL_WINDOW_BYTES)]);
    link.exchange();
    server.consume(INITIAL_WINDOW_BYTES / 2);
    link.exchange();
    server.consume(INITIAL_WINDOW_BYTES / 2);
    link.exchange();
    expect(ear.heard).toEqual(["window"]);
  });

  test("credit overtakes the data that waits before it", () => {
    const { link, client, server } = opened(false);
    client.sendData([new Uint8Array(INITIAL_WINDOW_BYTES)]);
    link.exchange();
    server.sendHead("{}", [new Uint8Array(1)]);
    server.consume(INITIAL_WINDOW_BYTES);
    expect(link.agent.takeFrames().map(({ type }) => type)).toEqual([FRAME.CREDIT, FRAME.HEAD]);
  });

  test("2,000 uploads that start at once and are never read stay within the sum", () => {
    const { link, accepted } = pair();
    const clients: Stream[] = [];
    for (let count = 0; count < MAX_STREAMS_PER_LINK; count += 1) {
      clients.push(link.gateway.open("{}", NO_BODY, false, new Ear()) as Stream);
    }
    for (let round = 0; round < 20; round += 1) {
      for (const client of clients) {
        if (client.window > 0) client.sendData([new Uint8Array(Math.min(client.window, 64 * KIB))]);
      }
      link.exchange();
      expect(link.agent.budget.granted).toBeLessThanOrEqual(MAX_GRANTED_BYTES_PER_LINK);
    }
    expect(accepted).toHaveLength(MAX_STREAMS_PER_LINK);
    // Those that found nothing to assume were granted a short window, so that each could go on.
    const least = Math.min(...accepted.map(({ ear }) => ear.bytes));
    expect(least).toBeGreaterThanOrEqual(SHORT_WINDOW_BYTES);
  });

  test("2,000 whole bodies that wait for the app stay within the sum", () => {
    const { link } = pair();
    const body = new Uint8Array(INITIAL_WINDOW_BYTES);
    for (let count = 0; count < MAX_STREAMS_PER_LINK; count += 1) {
      const fits = body.length <= link.gateway.requestWindow;
      link.gateway.open("{}", fits ? body : NO_BODY, fits, new Ear());
      link.exchange();
    }
    expect(link.agent.streams).toBe(MAX_STREAMS_PER_LINK);
    expect(link.agent.budget.granted).toBeLessThanOrEqual(MAX_GRANTED_BYTES_PER_LINK);
  });

  test("requests without a body take nothing of what uploads may assume", () => {
    const { link } = pair();
    for (let count = 0; count < MAX_STREAMS_PER_LINK - 1; count += 1) {
      link.gateway.open("{}", NO_BODY, true, new Ear());
    }
    expect(link.gateway.requestWindow).toBe(INITIAL_WINDOW_BYTES);
  });

  test("what was assumed is free again after a grant, an END, or the stream's end", () => {
    const { link, accepted } = pair();
    const uploads = MAX_INITIAL_WINDOWS_BYTES / INITIAL_WINDOW_BYTES;
    const clients = Array.from(
      { length: uploads },
      () => link.gateway.open("{}", NO_BODY, false, new Ear()) as Stream,
    );
    expect(link.gateway.requestWindow).toBe(0);
    const [granted, ended, cancelled] = clients as [Stream, Stream, Stream];
    ended.sendData([new Uint8Array(24 * KIB)], true);
    expect(link.gateway.requestWindow).toBe(40 * KIB);
    cancelled.cancel();
    expect(link.gateway.requestWindow).toBe(INITIAL_WINDOW_BYTES);
    link.gateway.open("{}", new Uint8Array(64 * KIB), true, new Ear());
    expect(link.gateway.requestWindow).toBe(40 * KIB);
    link.gateway.open("{}", new Uint8Array(40 * KIB), true, new Ear());
    expect(link.gateway.requestWindow).toBe(0);
    granted.sendData([new Uint8Array(INITIAL_WINDOW_BYTES)]);
    link.exchange();
    accepted[0]?.stream.consume(INITIAL_WINDOW_BYTES);
    link.exchange();
    expect(link.gateway.requestWindow).toBe(INITIAL_WINDOW_BYTES);
  });

  test("a body that was refused unread gives its share back", () => {
    const link = new LinkPair({
      onOpen: (stream) => {
        stream.refuse({ code: "queue_full", detail: "" });
        return new Ear();
      },
      onAttach: () => new Ear(),
    });
    for (let count = 0; count < 2000; count += 1) {
      link.gateway.open("{}", new Uint8Array(60 * KIB), true, new Ear());
      link.exchange();
    }
    expect([link.agent.budget.granted, link.agent.streams, link.gateway.streams]).toEqual([
      0, 0, 0,
    ]);
  });
});

describe("the limit of streams", () => {
  test("the gateway opens no more than 2,000", () => {
    const { link } = pair();
    for (let count = 0; count < 2_000; count += 1) {
      expect(link.gateway.open("{}", NO_BODY, true, new Ear())).toBeDefined();
    }
    expect(link.gateway.open("{}", NO_BODY, true, new Ear())).toBeUndefined();
    expect(link.gateway.attach("{}", new Ear())).toBeUndefined();
  });

  test("an agent that is sent more refuses them, unexecuted", () => {
    const { link, accepted } = pair();
    for (let id = 1; id <= MAX_STREAMS_PER_LINK + 1; id += 1) {
      link.agent.receive(message(FRAME.OPEN, id, open(0, 1), true));
    }
    expect(accepted).toHaveLength(MAX_STREAMS_PER_LINK);
    const frames = link.agent.takeFrames();
    expect(frames.map(({ type, stream }) => [type, stream])).toEqual([
      [FRAME.REFUSE, MAX_STREAMS_PER_LINK + 1],
    ]);
    expect(Buffer.concat(frames[0]?.parts ?? []).toString()).toContain("queue_full");
    expect(link.agent.budget.granted).toBe(0);
  });
});

describe("a peer that breaks the rules", () => {
  const toGateway: [string, Uint8Array[]][] = [
    ["opens a stream", [message(FRAME.OPEN, 9, open(0, 1))]],
    ["says welcome", [message(FRAME.WELCOME, 0)]],
    ["says hello on a stream", [message(FRAME.HELLO, 1, Buffer.from("{}"))]],
    ["sends data on stream 0", [message(FRAME.DATA, 0)]],
    ["sends credit on stream 0", [message(FRAME.CREDIT, 0, uint32(1))]],
    ["sends data before its head", [message(FRAME.DATA, 1, new Uint8Array(1))]],
    ["ends before its head", [message(FRAME.DATA, 1, NO_BODY, true)]],
    ["sends a second head", [message(FRAME.HEAD, 1, head()), message(FRAME.HEAD, 1, head())]],
    [
      "sends data after its end",
      [message(FRAME.HEAD, 1, head(), true), message(FRAME.DATA, 1, NO_BODY)],
    ],
    ["sends beyond its window", [message(FRAME.HEAD, 1, head("", new Uint8Array(64 * KIB + 1)))]],
    ["grants more than any window", [message(FRAME.CREDIT, 1, uint32(MAX_WINDOW_BYTES))]],
    ["sends a credit of three bytes", [message(FRAME.CREDIT, 1, new Uint8Array(3))]],
    ["sends a head that is cut off", [message(FRAME.HEAD, 1, uint32(5))]],
    ["sends a head without a length", [message(FRAME.HEAD, 1, new Uint8Array(3))]],
    ["sends text that is not UTF-8", [message(FRAME.RESET, 1, Uint8Array.of(0xff))]],
  ];
  test.each(toGateway)("an agent that %s", (_, messages) => {
    const { link } = pair();
    link.gateway.open("{}", NO_BODY, false, new Ear());
    expect(() => {
      for (const each of messages) link.gateway.receive(each);
    }).toThrow(ProtocolError);
  });

  const toAgent: [string, Uint8Array[]][] = [
    ["sends a head", [message(FRAME.HEAD, 1, head())]],
    ["refuses", [message(FRAME.REFUSE, 1, Buffer.from("{}"))]],
    ["says hello", [message(FRAME.HELLO, 0)]],
    ["opens stream 0", [message(FRAME.OPEN, 0, open(0, 1))]],
    ["opens a stream twice", [message(FRAME.OPEN, 1, open(0, 1))]],
    ["attaches on a stream that is open", [message(FRAME.ATTACH, 1, uint32(0))]],
    ["opens with less than an opening", [message(FRAME.OPEN, 2, new Uint8Array(11))]],
    ["attaches with less than an attach", [message(FRAME.ATTACH, 2, new Uint8Array(3))]],
    ["assumes too large a window", [message(FRAME.OPEN, 2, open(64 * KIB + 1, 1))]],
    ["grants too large a first window", [message(FRAME.OPEN, 2, open(0, 64 * KIB + 1))]],
    ["sends more with OPEN than it assumed", [message(FRAME.OPEN, 2, open(1, 1, "", head("")))]],
    [
      "sends a body with an attach",
      [message(FRAME.ATTACH, 2, uint32(0)), message(FRAME.DATA, 2, NO_BODY)],
    ],
  ];
  test.each(toAgent)("a gateway that %s", (_, messages) => {
    const { link } = pair();
    link.agent.receive(message(FRAME.OPEN, 1, open(INITIAL_WINDOW_BYTES, 1)));
    expect(() => {
      for (const each of messages) link.agent.receive(each);
    }).toThrow(ProtocolError);
  });

  test("an end that accepts no streams says so", () => {
    const end = new Multiplexer({
      role: "agent",
      onPending: () => undefined,
      onControl: () => undefined,
    });
    expect(() => end.receive(message(FRAME.OPEN, 1, open(0, 1)))).toThrow(ProtocolError);
  });

  test("whatever frames come in whatever order: ProtocolError or nothing, and bounded", () => {
    const payload = fc.oneof(
      fc.uint8Array({ maxLength: 40 }),
      fc.tuple(fc.nat(100), fc.nat(100_000)).map(([a, b]) => open(a, b)),
      fc.nat(2 * MAX_WINDOW_BYTES).map(uint32),
      fc.nat(70_000).map((length) => head("{}", new Uint8Array(length))),
    );
    const anyFrame = fc.record({
      type: fc.constantFrom<FrameType[]>(...Object.values(FRAME)),
      stream: fc.nat(4),
      end: fc.boolean(),
      payload,
    });
    fc.assert(
      fc.property(fc.array(anyFrame, { maxLength: 30, size: "max" }), (frames) => {
        const { link } = pair();
        for (let id = 1; id <= 2; id += 1) link.gateway.open("{}", NO_BODY, false, new Ear());
        for (const end of [link.gateway, link.agent]) {
          for (const each of frames) {
            try {
              end.receive(message(each.type, each.stream, each.payload, each.end));
            } catch (error) {
              expect(error).toBeInstanceOf(ProtocolError);
              end.lost();
            }
            expect(end.budget.granted).toBeGreaterThanOrEqual(0);
            expect(end.budget.granted).toBeLessThanOrEqual(5 * MAX_WINDOW_BYTES);
          }
          end.lost();
          expect([end.streams, end.budget.granted]).toEqual([0, 0]);
        }
      }),
      { numRuns: 1000 },
    );
  });
});

test("hello and welcome go to the owners as text", () => {
  const { link } = pair();
  link.agent.control(FRAME.HELLO, { versions: [1] });
  link.gateway.control(FRAME.WELCOME, { version: 1 });
  link.exchange();
  expect(link.controls.toSorted()).toEqual(['{"version":1}', '{"versions":[1]}']);
});

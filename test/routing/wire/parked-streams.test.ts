/** Streams of calls that wait: what they hold, who brings them back, and what crosses on the way. */
import { describe, expect, test } from "vitest";
import { FRAME, ProtocolError, uint32 } from "../../../routing/wire/frames.ts";
import { INITIAL_WINDOW_BYTES, MAX_STREAMS_PER_LINK } from "../../../routing/wire/limits.ts";
import type { Stream } from "../../../routing/wire/multiplexer.ts";
import { type Accepted, Ear, message, pair } from "./ear.ts";

const NO_BODY = new Uint8Array(0);
const BODY = new Uint8Array(100);

/** A stream on which the agent has parked its call. */
function parked(share = "busy") {
  const { link, accepted } = pair();
  const ear = new Ear();
  const client = link.gateway.open("{}", BODY, true, ear, share) as Stream;
  link.exchange();
  const { stream: server, ear: serverEar } = accepted[0] as Accepted;
  server.consume(BODY.length);
  server.park();
  link.exchange();
  serverEar.heard.length = 0;
  return { link, accepted, client, ear, server, serverEar };
}

describe("a parked stream", () => {
  test("holds no window and no place, and its owner knows", () => {
    const { link, ear } = parked();
    expect(ear.heard).toEqual(["park"]);
    expect([link.gateway.counted, link.agent.counted]).toEqual([0, 0]);
    expect([link.gateway.budget.granted, link.agent.budget.granted]).toEqual([0, 0]);
    expect(link.gateway.requestWindow).toBe(INITIAL_WINDOW_BYTES);
  });

  test("that is called back has its place and a window, and brings its response", () => {
    const { link, ear, server, serverEar } = parked();
    server.callBack();
    link.exchange();
    expect([link.gateway.counted, link.agent.counted]).toEqual([1, 1]);
    expect([serverEar.heard, server.window]).toEqual([["window"], INITIAL_WINDOW_BYTES]);
    server.sendHead("answer", [BODY], true);
    link.exchange();
    expect(ear.heard).toEqual(["park", "head answer 100 end"]);
  });

  test("whose response is there at once calls back by itself, and the body follows the window", () => {
    const { link, ear, server } = parked();
    server.sendHead("answer");
    expect(server.window).toBe(0);
    link.exchange();
    server.sendData([BODY], true);
    link.exchange();
    expect(ear.heard).toEqual(["park", "head answer 0", "data 100 end"]);
  });

  test.each([
    ["CANCEL", (client: Stream) => client.cancel(), "cancelled"],
    ["DETACH", (client: Stream) => client.detach(), "detached"],
    ["DEFER", (client: Stream) => client.defer(), "defer"],
  ])("takes %s like any other", (_, say, heard) => {
    const { link, client, serverEar } = parked();
    say(client);
    link.exchange();
    expect(serverEar.heard).toEqual([heard]);
  });

  test.each([
    ["REFUSE", (server: Stream) => server.refuse({ code: "no_origin", detail: "" }), "refused"],
    ["RESET", (server: Stream) => server.reset({ code: "call_lost", detail: "" }), "reset"],
    [
      "DEFERRED",
      (server: Stream) =>
        server.confirmDeferred({ callId: "c", status: "pending", position: 0, elapsedMs: 1 }),
      "deferred",
    ],
  ])("ends with %s, and leaves nothing behind", (_, say, heard) => {
    const { link, ear, server } = parked();
    say(server);
    link.exchange();
    expect(ear.heard).toEqual(["park", heard]);
    expect([link.gateway.streams, link.agent.streams]).toEqual([0, 0]);
  });

  test("that is parked again before its window came keeps the place that is on its way", () => {
    const { link, ear, server } = parked();
    server.callBack();
    server.park();
    link.exchange();
    expect([ear.heard, link.gateway.counted, link.agent.counted]).toEqual([["park"], 1, 1]);
    server.park();
    link.exchange();
    expect([ear.heard, link.gateway.counted, link.agent.counted]).toEqual([["park", "park"], 0, 0]);
  });

  test("hears of a lost link", () => {
    const { link, ear, serverEar } = parked();
    link.cut();
    expect([ear.heard, serverEar.heard]).toEqual([["park", "link_lost"], ["link_lost"]]);
  });

  test("keeps its number: no new stream has it", () => {
    const { link, client } = parked();
    const numbers = new Set<number | undefined>([client.id]);
    for (let count = 0; count < 3; count += 1) {
      numbers.add(link.gateway.open("{}", NO_BODY, true, new Ear())?.id);
    }
    expect(numbers.size).toBe(4);
  });
});

describe("an agent parks nothing", () => {
  test("whose request's body is still on its way", () => {
    const { link, accepted } = pair();
    link.gateway.open("{}", NO_BODY, false, new Ear());
    link.exchange();
    accepted[0]?.stream.park();
    expect(link.agent.takeFrames()).toEqual([]);
    expect(link.agent.counted).toBe(1);
  });

  test("whose response has begun", () => {
    const { link, accepted } = pair();
    link.gateway.open("{}", NO_BODY, true, new Ear());
    link.exchange();
    accepted[0]?.stream.sendHead("answer");
    accepted[0]?.stream.park();
    expect(link.agent.takeFrames().map(({ type }) => type)).toEqual([FRAME.HEAD]);
  });

  test("before both ends speak of it, and a gateway takes nothing else for it", () => {
    const { link, accepted } = pair();
    link.gateway.speak(2);
    link.agent.speak(2);
    const client = link.gateway.open("{}", NO_BODY, true, new Ear()) as Stream;
    link.exchange();
    accepted[0]?.stream.park();
    expect(link.agent.takeFrames()).toEqual([]);
    expect(() => link.gateway.receive(message(FRAME.PARK, client.id))).toThrow(ProtocolError);
  });
});

describe("a peer that breaks the rules of parking", () => {
  test.each([
    ["parks while the body is on its way", false, [FRAME.PARK]],
    ["parks twice", true, [FRAME.PARK, FRAME.PARK]],
    ["calls back what is not parked", true, [FRAME.CALL_BACK]],
    ["calls back twice", true, [FRAME.PARK, FRAME.CALL_BACK, FRAME.CALL_BACK]],
  ])("an agent that %s", (_, end, types) => {
    const { link } = pair();
    const client = link.gateway.open("{}", NO_BODY, end, new Ear()) as Stream;
    expect(() => {
      for (const type of types) link.gateway.receive(message(type, client.id));
    }).toThrow(ProtocolError);
  });

  test("an agent that sends a head on what it has parked", () => {
    const { link, client } = parked();
    const head = Buffer.concat([uint32(2), Buffer.from("{}")]);
    expect(() => link.gateway.receive(message(FRAME.HEAD, client.id, head))).toThrow(ProtocolError);
  });

  test("a gateway that parks, or grants a window that was not asked for", () => {
    const { link, client } = parked();
    const grant = message(FRAME.CREDIT, client.id, uint32(1));
    expect(() => link.agent.receive(grant)).toThrow(ProtocolError);
    expect(() => link.agent.receive(message(FRAME.PARK, client.id))).toThrow(ProtocolError);
  });
});

describe("the streams of a link", () => {
  /** Opens calls of an endpoint until it gets no more that count. */
  function fill(link: ReturnType<typeof pair>["link"], share: string): number {
    const before = link.gateway.counted;
    for (;;) {
      const counted = link.gateway.counted;
      link.gateway.open("{}", NO_BODY, true, new Ear(), share);
      if (link.gateway.counted === counted) return counted - before;
    }
  }

  test("are never all one endpoint's: each one more finds its own, and operations find theirs", () => {
    const { link } = pair();
    const got = Array.from({ length: 30 }, (_, index) => fill(link, `endpoint-${index}`));
    expect(got[0]).toBe(1425);
    expect(got.slice(0, 4)).toEqual([1425, 357, 89, 22]);
    for (let count = link.gateway.counted; count < MAX_STREAMS_PER_LINK; count += 1) {
      expect(link.gateway.open("{}", NO_BODY, true, new Ear())).toBeDefined();
    }
    expect(link.gateway.open("{}", NO_BODY, true, new Ear())).toBeUndefined();
  });

  test("that an endpoint gets no more of begin parked, and come back in their order as there is room", () => {
    const { link, accepted } = pair();
    fill(link, "busy");
    link.exchange();
    const extra = [new Ear(), new Ear()];
    for (const ear of extra) {
      expect(link.gateway.open("{}", BODY, true, ear, "busy")?.place).toBe("parked");
    }
    link.exchange();
    const [first, second] = accepted.slice(-2);
    expect([first?.stream.window, first?.ear.heard]).toEqual([0, ["open 100 end"]]);
    // They are called back, and there is no place yet.
    for (const each of [first, second]) each?.stream.callBack();
    link.exchange();
    expect(first?.ear.heard).toEqual(["open 100 end"]);
    accepted[0]?.stream.sendHead("answer", [], true);
    accepted[1]?.stream.refuse({ code: "no_origin", detail: "" });
    link.exchange();
    expect([first?.ear.heard, second?.ear.heard]).toEqual([
      ["open 100 end", "window"],
      ["open 100 end"],
    ]);
  });

  test("that wait for a place and end leave it to the next one", () => {
    const { link, accepted } = pair();
    fill(link, "busy");
    const clients = [0, 1].map(() => link.gateway.open("{}", NO_BODY, true, new Ear(), "busy"));
    link.exchange();
    const [first, second] = accepted.slice(-2);
    for (const each of [first, second]) each?.stream.callBack();
    link.exchange();
    clients[0]?.cancel();
    accepted[0]?.stream.refuse({ code: "no_origin", detail: "" });
    link.exchange();
    expect([first?.ear.heard.at(-1), second?.ear.heard.at(-1)]).toEqual(["cancelled", "window"]);
  });

  test("attach parked where the endpoint gets no more", () => {
    const { link, accepted } = pair();
    fill(link, "busy");
    const ear = new Ear();
    expect(link.gateway.attach("{}", ear, "busy")?.place).toBe("parked");
    link.exchange();
    accepted.at(-1)?.stream.sendHead("answer");
    link.exchange();
    expect(ear.heard).toEqual(["head answer 0"]);
  });

  test("are refused where the agent is older, or the body is not whole", () => {
    const { link } = pair();
    fill(link, "busy");
    expect(link.gateway.open("{}", NO_BODY, false, new Ear(), "busy")).toBeUndefined();
    link.gateway.speak(2);
    expect(link.gateway.open("{}", NO_BODY, true, new Ear(), "busy")).toBeUndefined();
    expect(link.gateway.attach("{}", new Ear(), "busy")).toBeUndefined();
  });

  test("are parked up to a limit, at both ends", () => {
    const { link, accepted } = pair();
    fill(link, "busy");
    while (link.gateway.open("{}", NO_BODY, true, new Ear(), "busy") !== undefined);
    expect(link.gateway.streams - link.gateway.counted).toBe(20_000);
    link.exchange();
    accepted[0]?.stream.park();
    expect(link.agent.takeFrames()).toEqual([]);
    // A gateway that did not know of what its agent has parked meanwhile may have begun so many more.
    const attach = (id: number) => message(FRAME.ATTACH, id, uint32(0));
    for (let more = 1; more <= MAX_STREAMS_PER_LINK + 1; more += 1) {
      link.agent.receive(attach(4_000_000_000 + more));
    }
    expect(link.agent.takeFrames().map(({ type, stream }) => [type, stream])).toEqual([
      [FRAME.REFUSE, 4_000_000_000 + MAX_STREAMS_PER_LINK + 1],
    ]);
  });
});

import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

import type { Dialled, GatewayAddress } from "../../../origin-gpu/link/gateway-address.ts";
import { Observer } from "../../../base/observer.ts";
import { Link } from "../../../origin-gpu/link/link.ts";

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

/** A link to a gateway that answers each dial as it is told. */
function linkTo(answer: (dial: number) => Dialled) {
  let dials = 0;
  const refused: string[] = [];
  const said: string[] = [];
  const gateway: Pick<GatewayAddress, "dial" | "needsMask"> = {
    needsMask: false,
    async dial() {
      dials += 1;
      return answer(dials);
    },
  };
  const link = new Link({
    gateway: gateway as GatewayAddress,
    number: 0,
    links: 1,
    incarnation: "a".repeat(32),
    acceptor: () => {
      throw new Error("no stream is opened");
    },
    onWelcome: () => undefined,
    observer: new Observer({
      sinks: [({ name, fields }) => void (name === "notice" && said.push(String(fields["text"])))],
      now: Date.now,
    }),
    onRefused: (line) => refused.push(line),
  });
  return { link, refused, said, dials: () => dials };
}

type Refused = Extract<Dialled, { kind: "refused" }>;

const HELD: Refused = { kind: "refused", line: "another agent is connected", verdict: "held" };
const DOWN: Refused = { kind: "refused", line: "cannot reach the gateway", verdict: "passing" };
const REVOKED: Refused = { kind: "refused", line: "the box was revoked", verdict: "final" };

describe("a link that is refused", () => {
  test("because its name is held tries for 20 s, says why once, and gives up", async () => {
    const { link, refused, said, dials } = linkTo(() => HELD);
    link.start();
    await vi.advanceTimersByTimeAsync(19_000);
    expect(refused).toEqual([]);
    expect(said).toEqual([HELD.line]);
    expect(dials()).toBeGreaterThan(5);
    await vi.advanceTimersByTimeAsync(5_000);
    expect(refused).toEqual([HELD.line]);
    const given = dials();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(dials()).toBe(given);
  });

  test("because its name was held, and then for another reason, goes on", async () => {
    const { link, refused } = linkTo((dial) => (dial % 5 === 0 ? DOWN : HELD));
    link.start();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(refused).toEqual([]);
    link.stop();
  });

  test("for good is tried once more, and then not again", async () => {
    const { link, refused, dials } = linkTo(() => REVOKED);
    link.start();
    await vi.advanceTimersByTimeAsync(60_000);
    expect({ refused, dials: dials() }).toEqual({ refused: [REVOKED.line], dials: 2 });
  });

  test("for good once, and then for another reason, goes on", async () => {
    const { link, refused } = linkTo((dial) => (dial % 2 === 0 ? DOWN : REVOKED));
    link.start();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(refused).toEqual([]);
    link.stop();
  });

  test("because the gateway is down is tried for ever", async () => {
    const { link, refused, dials } = linkTo(() => DOWN);
    link.start();
    await vi.advanceTimersByTimeAsync(10 * 60_000);
    expect(refused).toEqual([]);
    expect(dials()).toBeGreaterThan(60);
    link.stop();
  });
});

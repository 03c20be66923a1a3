/** Calls that a box takes, and those that it refuses before it begins them. */
import { expect, test } from "vitest";
import { err, ok } from "../../base/result.ts";
import { admit, loadOf } from "../../origin-gpu/admitted-calls.ts";
import type { ServedFunction } from "../../origin-gpu/apps/served-function.ts";
import type { PoolLoad } from "../../routing/wire/pool-load.ts";

const served = (isElsewhere: boolean, room = 1, settings: object = {}) => {
  const load: PoolLoad = { running: 3, waiting: 0, room, coming: 0 };
  const hasSession: ServedFunction["hasSession"] = ({ keys }) => keys.includes("cookie=here");
  return { isElsewhere, load, hasSession, settings } as ServedFunction;
};
const CALL = { target: "/v1/models" };
const HERE = { ...CALL, session: { keys: ["cookie=here"] } };
const NOT_HERE = { ...CALL, session: { keys: ["cookie=elsewhere"] } };
const KEYED = { ...CALL, key: "k" };

test("where other boxes have all containers, only calls under a key are taken", () => {
  expect(admit(served(false), CALL, undefined).ok).toBe(true);
  expect(admit(served(true), CALL, undefined).ok).toBe(false);
  expect(admit(served(true), KEYED, undefined).ok).toBe(true);
  expect(admit(undefined, KEYED, undefined).ok).toBe(false);
});

test("a box without room says whether a container would wait for others' cards", () => {
  const blocked = (room: number) => Object.assign(served(false, room), { isBlocked: true });
  const first = { ...CALL, mayRefuse: true };
  expect(admit(blocked(0), first, undefined)).toMatchObject({ error: { load: { blocked: true } } });
  expect(admit(blocked(1), first, undefined).ok).toBe(true);
  expect(loadOf(blocked(1))).not.toHaveProperty("blocked");
});

test("a box without room refuses a call that may go elsewhere, and tells its load", () => {
  const full = served(false, 0);
  expect(admit(full, { ...CALL, mayRefuse: true }, undefined)).toMatchObject({
    error: { code: "queue_full", load: { running: 3, waiting: 0, room: 0, coming: 0 } },
  });
  expect(admit(full, { ...CALL, mayRefuse: false }, undefined).ok).toBe(true);
  expect(admit(full, CALL, undefined).ok).toBe(true);
  expect(admit(served(false, 1), { ...CALL, mayRefuse: true }, undefined).ok).toBe(true);
});

test("a call of a session that is here is taken: no other box can serve it", () => {
  expect(admit(served(false, 0), { ...HERE, mayRefuse: true }, undefined).ok).toBe(true);
  expect(admit(served(false, 0), { ...NOT_HERE, mayRefuse: true }, undefined).ok).toBe(false);
  expect(admit(served(true), HERE, undefined).ok).toBe(true);
  expect(admit(served(true), NOT_HERE, undefined).ok).toBe(false);
});

test("each refusal lets the gateway go on to another box, and says why", () => {
  const refusals = [admit(undefined, CALL, undefined), admit(served(true), CALL, undefined)];
  expect(refusals).toMatchObject([
    { error: { code: "no_origin", detail: "the box does not serve this endpoint" } },
    {
      error: {
        code: "no_origin",
        detail: "another box has the endpoint's containers",
        followed: true,
      },
    },
  ]);
  const stops = { code: "no_origin", detail: "the box is stopping", retryAfter: 5 };
  expect(admit(served(false), CALL, "for_good")).toEqual(err(stops));
});

test("a WSGI app is asked for no WebSocket", () => {
  const wsgi = { ...served(false), settings: { kind: { type: "wsgi" } } } as ServedFunction;
  expect(admit(wsgi, { websocket: "key" }, undefined)).toMatchObject({
    error: { code: "not_supported" },
  });
  expect(admit(wsgi, {}, undefined).ok).toBe(true);
});

test("a path that the endpoint leaves out reaches no app, whatever the edge knew", () => {
  const closed = served(false, 1, { paths: { deny: ["/sleep"] } });
  expect(admit(closed, CALL, undefined).ok).toBe(true);
  for (const target of ["/sleep", "/v1/%2e%2e/sleep?level=1"]) {
    const refused = { error: { code: "path_closed" } };
    expect(admit(closed, { target }, undefined)).toMatchObject(refused);
    expect(admit(closed, { ...HERE, target, key: "k" }, undefined)).toMatchObject(refused);
  }
});

test("a request's parameters select the containers that are asked, or it is refused", () => {
  const invalid = { code: "parameter_invalid", detail: "size must be an integer" } as const;
  const full = served(false, 0);
  const select = (target: string) => (target === "/?size=7" ? ok(full) : err(invalid));
  const whole = { ...served(false), select } as ServedFunction;
  expect(admit(whole, { target: "/?size=7" }, undefined)).toEqual(ok(full));
  // The others have room, and the gateway may know another box with containers of this set.
  expect(admit(whole, { target: "/?size=7", mayRefuse: true }, undefined)).toMatchObject({
    error: { code: "queue_full", load: full.load },
  });
  expect(admit(whole, { target: "/?size=x" }, undefined)).toEqual(err(invalid));
  // The question for the load names no request.
  expect(admit(whole, {}, undefined)).toEqual(ok(whole));
});

test("a box that another agent takes over holds calls for it; what can't wait here is told of it", () => {
  const stops = { code: "no_origin", detail: "the box is stopping", retryAfter: 5, followed: true };
  expect(admit(served(false), CALL, "followed").ok).toBe(true);
  expect(admit(served(false), { ...CALL, websocket: "" }, "followed")).toEqual(err(stops));
  // Another box may have room for it; else it comes back.
  expect(admit(served(false), { ...CALL, mayRefuse: true }, "followed")).toMatchObject({
    error: { code: "queue_full", load: { room: 0 } },
  });
  expect(admit(served(false), { ...CALL, mayRefuse: false }, "followed").ok).toBe(true);
  expect(admit(served(false), { ...HERE, mayRefuse: true }, "followed").ok).toBe(true);
  expect(admit(served(false), CALL, "leaving")).toEqual(err(stops));
});

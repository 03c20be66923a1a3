import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  holdsOurKey,
  soleKeySubprotocol,
  subprotocolKey,
  withoutKeySubprotocols,
} from "../../../routing/wire/client-keys.ts";

const KEY = "wk-3glqpr3ycrwtkd42qic5a3gfzy.ws-ykuacvlvto7ei3xtd5d2gd3isq7jvkic";
const OURS = `openai-insecure-api-key.${KEY}`;
const APPS = "openai-insecure-api-key.sk-of-the-app";

describe("a value holds a key of ours", () => {
  it.each([
    KEY,
    KEY.toUpperCase(),
    `"${KEY}"`,
    `sk-of-the-app, ${KEY}`,
    `Bearer ${KEY}`,
    "ak-my.space-3glqpr3ycrwtkd42qic5a3gfzy.as-x",
    "pat-0123456789abcdef0123456789-abc",
    "pct-abc",
  ])("as %s", (value) => expect(holdsOurKey(value)).toBe(true));

  it.each([
    "sk-proj-1234",
    "wk-3glqpr3ycrwtkd42qic5a3gfzy",
    "awk-1.ws-2",
    "glpat-0123456789abcdef",
    "patXYZ.0123",
    "ak-another-vendors",
    "",
  ])("and not as %s", (value) => expect(holdsOurKey(value)).toBe(false));

  it("is told in linear time", () => {
    // Quadratic, this would take minutes.
    for (const part of ["wk-", "ak-", "wk-a.ws", "pat-0"]) {
      expect(holdsOurKey(part.repeat(60_000))).toBe(false);
    }
  });
});

describe("subprotocols", () => {
  it.each([
    [null, undefined],
    ["", undefined],
    ["chat", undefined],
    [OURS, KEY],
    [`realtime, ${OURS}, openai-beta.realtime-v1`, KEY],
    [`realtime,,${OURS}`, KEY],
    [`${APPS}, ${OURS}`, KEY],
    [APPS, undefined],
  ])("of %j carry the key %j", (offered, key) => expect(subprotocolKey(offered)).toBe(key));

  it.each([
    [OURS, undefined],
    [`${OURS},${OURS}`, undefined],
    [`realtime, ${OURS}, openai-beta.realtime-v1`, "realtime, openai-beta.realtime-v1"],
    [`${OURS},realtime`, "realtime"],
    [`${APPS}, ${OURS}`, APPS],
    // Misspelt it opens nothing, and is a secret nevertheless.
    [`OpenAI-Insecure-API-Key.${KEY}, chat`, "chat"],
    [`${KEY}, chat`, "chat"],
    ["chat,superchat", "chat,superchat"],
    [APPS, APPS],
  ])("of %s reach the app as %j", (offered, passed) =>
    expect(withoutKeySubprotocols(offered)).toBe(passed),
  );

  it.each([
    [null, undefined],
    ["chat", undefined],
    [OURS, OURS],
    [`realtime, ${OURS}`, undefined],
    [`${OURS}, ${APPS}`, undefined],
  ])("of %j are answered by the gateway with %j", (offered, own) =>
    expect(soleKeySubprotocol(offered)).toBe(own),
  );

  it("never reach the app with a key of ours among them", () => {
    const member = fc.oneof(fc.constant(OURS), fc.constant(KEY), fc.stringMatching(/^[!-+\--~]*$/));
    const between = fc.constantFrom(",", ", ", " ,\t", ",,");
    fc.assert(
      fc.property(fc.array(member), between, (members, comma) => {
        const passed = withoutKeySubprotocols(members.join(comma)) ?? "";
        expect(passed).not.toContain(KEY);
        expect(subprotocolKey(passed)).toBeUndefined();
      }),
    );
  });
});

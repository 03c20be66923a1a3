import fc from "fast-check";
import { expect, test } from "vitest";
import { deriveGatewayKeys } from "../../auth/keys.ts";
import { openSignInState, sealSignInState } from "../../auth/sign-in-state.ts";

const NOW_S = 1_800_000_000;
const keys = await deriveGatewayKeys(Buffer.alloc(32, 1).toString("base64url"));
const HERE = {
  workspace: "ecorp",
  environment: "main",
  app: "chat",
  endpoint: "main/chat/web",
  host: "ecorp--chat-web.example.com",
  issuer: "https://id.example",
  clientId: "postern",
};
const STATE = {
  target: "/private?page=1",
  nonce: "a-nonce",
  verifier: "a-verifier",
  expiresAtS: NOW_S + 600,
};
const id = (byte: number) => new Uint8Array(16).fill(byte);
const text = await sealSignInState(keys, HERE, "browser", STATE, id(1));

const opened = async (sealed: string, at = HERE, browser = "browser", nowS = NOW_S) =>
  await openSignInState(keys, at, browser, sealed, nowS);

test("a state opens in its browser until it expires, and tells its carriers nothing", async () => {
  expect(await opened(text)).toEqual(STATE);
  expect(await opened(text, HERE, "browser", NOW_S + 599.9)).toEqual(STATE);
  expect(await opened(text, HERE, "browser", NOW_S + 600)).toBeUndefined();
  expect(await opened(text, HERE, "another")).toBeUndefined();
  const read = Buffer.from(text.split(".")[1] ?? "", "base64url").toString("latin1");
  for (const word of Object.values(STATE)) expect(read).not.toContain(String(word));
});

test.each(Object.keys(HERE))("a state opens at no other %s", async (member) => {
  expect(await opened(text, { ...HERE, [member]: "other" })).toBeUndefined();
});

test("a state with any other character, or of another one's id, does not open", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.nat(text.length - 1),
      fc.constantFrom(..."Aa0_-.".split("")),
      async (at, by) => {
        fc.pre(text[at] !== by);
        expect(await opened(text.slice(0, at) + by + text.slice(at + 1))).toBeUndefined();
      },
    ),
  );
  const other = await sealSignInState(keys, HERE, "browser", STATE, id(2));
  const [otherId] = other.split(".");
  expect(await opened(`${otherId}.${text.split(".")[1]}`)).toBeUndefined();
  expect(await opened("")).toBeUndefined();
  expect(await opened("a".repeat(100_000))).toBeUndefined();
});

test("the same state under another id shares no byte that shows it", async () => {
  const other = await sealSignInState(keys, HERE, "browser", STATE, id(2));
  const bytes = (sealed: string) => Buffer.from(sealed.split(".")[1] ?? "", "base64url");
  const [left, right] = [bytes(text), bytes(other)];
  const alike = left.filter((byte, index) => byte === right[index]).length;
  expect(alike).toBeLessThan(left.length / 10);
  await expect(sealSignInState(keys, HERE, "browser", STATE, new Uint8Array(8))).rejects.toThrow(
    "16 bytes",
  );
});

/** How often an issuer is asked for its keys, by a clock and a fetch of the test's own. */
import { exportJWK, generateKeyPair } from "jose";
import { beforeAll, expect, test } from "vitest";
import { JwtKeys } from "../../../../auth/jwt.ts";
import { PublishedDocuments } from "../../../../gateway/worker/edge/published-documents.ts";

const URL = "https://id.example/jwks";
const MINUTE_MS = 60_000;

let text = "";
beforeAll(async () => {
  const { publicKey } = await generateKeyPair("ES256", { extractable: true });
  text = JSON.stringify({ keys: [await exportJWK(publicKey)] });
});

/** A memory with a clock, an issuer that answers as told, and the work that goes on behind requests. */
function memory() {
  const state = { now: 1_000_000, asked: 0, answer: async () => await Promise.resolve(text) };
  const behind: Promise<unknown>[] = [];
  const sets = new PublishedDocuments(
    (keys) => JwtKeys.parse(keys),
    () => state.now,
  );
  const fetchKeys = async (): Promise<string> => {
    state.asked += 1;
    return await state.answer();
  };
  const waitUntil = (work: Promise<unknown>) => void behind.push(work);
  return {
    state,
    find: async (url = URL) => await sets.find(url, fetchKeys, waitUntil),
    findNewer: async () => await sets.findNewer(URL, fetchKeys, waitUntil),
    settled: async () => await Promise.all(behind),
  };
}

const fails = async () => await Promise.reject<string>(new Error("refused"));

test("warm requests ask nobody, and old keys are used while newer ones come", async () => {
  const { state, find, settled } = memory();
  const first = await find();
  expect(first).toBeDefined();
  state.now += 10 * MINUTE_MS - 1;
  expect(await find()).toBe(first);
  expect(state.asked).toBe(1);
  state.now += 1;
  expect(await find()).toBe(first);
  await settled();
  expect(state.asked).toBe(2);
  expect(await find()).not.toBe(first);
});

test("requests that need the same keys at once share one fetch", async () => {
  const { state, find } = memory();
  const held = Promise.withResolvers<string>();
  state.answer = async () => await held.promise;
  const waiting = [find(), find(), find()];
  held.resolve(text);
  expect(new Set(await Promise.all(waiting)).size).toBe(1);
  expect(state.asked).toBe(1);
});

test("forged names of keys ask the issuer once in half a minute", async () => {
  const { state, find, findNewer } = memory();
  await find();
  for (let forged = 0; forged < 100; forged += 1) await findNewer();
  expect(state.asked).toBe(1);
  state.now += 30_000;
  for (let forged = 0; forged < 100; forged += 1) await findNewer();
  expect(state.asked).toBe(2);
});

test("an issuer that fails is asked again after a pause, and its known keys last a day", async () => {
  const { state, find, settled } = memory();
  state.answer = fails;
  expect(await find()).toBeUndefined();
  expect(await find()).toBeUndefined();
  expect(state.asked).toBe(1);
  state.now += 5_000;
  state.answer = async () => await Promise.resolve(text);
  const keys = await find();
  expect(keys).toBeDefined();
  state.answer = fails;
  state.now += 23 * 60 * MINUTE_MS;
  expect(await find()).toBe(keys);
  await settled();
  state.now += 60 * MINUTE_MS;
  expect(await find()).toBeUndefined();
});

test("what is no set of keys is as if there were none", async () => {
  const { state, find } = memory();
  state.answer = async () => await Promise.resolve("<html>");
  expect(await find()).toBeUndefined();
});

test("it remembers 256 issuers", async () => {
  const { state, find } = memory();
  for (let issuer = 0; issuer < 257; issuer += 1) await find(`https://id-${issuer}.example/`);
  expect(state.asked).toBe(257);
  // The first one had to go, and the second one is the oldest now.
  await find("https://id-1.example/");
  expect(state.asked).toBe(257);
  await find("https://id-0.example/");
  expect(state.asked).toBe(258);
});

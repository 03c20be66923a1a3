import { describe, expect, test } from "vitest";

import {
  BODY_TIMEOUT_MS,
  BodyReader,
  MAX_HELD_BYTES,
} from "../../../../gateway/worker/edge/body-reader.ts";
import { manualTimer, unfinishedBody } from "../../unfinished-body.ts";

const URL = "http://localhost:8787/";

const post = (body: BodyInit, headers: Record<string, string> = {}) =>
  new Request(URL, { method: "POST", body, headers });

describe("a request body", () => {
  test("is read whole, also in pieces that split a character", async () => {
    const bytes = new TextEncoder().encode('"é"');
    const body = new ReadableStream({
      start(controller) {
        for (const byte of bytes) controller.enqueue(Uint8Array.of(byte));
        controller.close();
      },
    });
    expect(await new BodyReader().read(post(body), "a", 4)).toEqual({ ok: true, value: '"é"' });
    expect(await new BodyReader().read(new Request(URL), "a", 4)).toEqual({ ok: true, value: "" });
  });

  test("may have all bytes of the limit, and not one more, whether it declares them or not", async () => {
    const reader = new BodyReader();
    const read = async (text: string, isDeclared: boolean) => {
      const headers = isDeclared ? { "content-length": String(text.length) } : undefined;
      return await reader.read(post(text, headers), "a", 4);
    };
    for (const isDeclared of [true, false]) {
      for (const text of ["abc", "abcd"]) {
        expect(await read(text, isDeclared)).toEqual({ ok: true, value: text });
      }
      expect(await read("abcde", isDeclared)).toEqual({ ok: false, error: "too_large" });
    }
  });

  test("that is too large is refused by its declared length, or when it has grown so far", async () => {
    const declared = unfinishedBody();
    const reader = new BodyReader();
    const request = post(declared.body, { "content-length": "5" });
    expect(await reader.read(request, "a", 4)).toEqual({ ok: false, error: "too_large" });
    expect(declared.pulls()).toBe(0);
    const growing = unfinishedBody("12345");
    expect(await reader.read(post(growing.body), "a", 4)).toEqual({
      ok: false,
      error: "too_large",
    });
  });

  test("that never ends is given up at the deadline, and not read on", async () => {
    const { timer, pass } = manualTimer();
    const { body, cancelled } = unfinishedBody('{"name":');
    const reading = new BodyReader(timer).read(post(body), "a", 1_000);
    await pass(BODY_TIMEOUT_MS);
    expect(await reading).toEqual({ ok: false, error: "too_slow" });
    await cancelled;
  });

  test("that breaks off is told apart", async () => {
    const body = new ReadableStream({
      pull: (controller) => controller.error(new Error("the client left")),
    });
    expect(await new BodyReader().read(post(body), "a", 4)).toEqual({ ok: false, error: "broken" });
  });

  test("beyond the bytes that a sender has under way is refused; other senders are read", async () => {
    const { timer, pass } = manualTimer();
    const bodies = new BodyReader(timer);
    // Without a length a body may become as large as any.
    const half = MAX_HELD_BYTES / 2;
    const undeclared = bodies.read(post(unfinishedBody("{").body), "a", half);
    const length = { "content-length": `${half - 2}` };
    const declared = bodies.read(post(unfinishedBody("{").body, length), "a", half);
    const read = async (text: string, sender: string) =>
      await bodies.read(post(text, { "content-length": `${text.length}` }), sender, 1_000);
    for (const text of ["1", "{}"])
      expect(await read(text, "a")).toEqual({ ok: true, value: text });
    expect(await read("[1]", "a")).toEqual({ ok: false, error: "too_many" });
    expect(await read("[1]", "b")).toEqual({ ok: true, value: "[1]" });
    await pass(BODY_TIMEOUT_MS);
    await Promise.all([undeclared, declared]);
    expect(await bodies.read(post("{}"), "a", 1_000)).toEqual({ ok: true, value: "{}" });
  });
});

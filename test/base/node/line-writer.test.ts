import { expect, it } from "vitest";
import { LineWriter } from "../../../base/node/line-writer.ts";

/** A stream whose reader takes what is written when the test says so. */
function slowStream() {
  const texts: string[] = [];
  let onTaken: (() => void) | undefined;
  const dropped: number[] = [];
  const writer = new LineWriter(
    (text, taken) => {
      texts.push(text);
      onTaken = taken;
    },
    (lines) => dropped.push(lines),
  );
  const take = async (): Promise<void> => {
    onTaken?.();
    onTaken = undefined;
    await turn();
  };
  return { writer, texts, dropped, take };
}

function turn(): Promise<void> {
  return new Promise((resolve) => void setImmediate(() => setImmediate(resolve)));
}

it("writes what comes in one turn together, and waits for the reader before it writes more", async () => {
  const { writer, texts, take } = slowStream();
  writer.add("one");
  writer.add("two");
  await turn();
  writer.add("three");
  await turn();
  expect(texts).toEqual(["one\ntwo\n"]);
  await take();
  expect(texts).toEqual(["one\ntwo\n", "three\n"]);
  const flushed = writer.flushed();
  await take();
  await flushed;
});

it("drops lines beyond its bound, and tells how many when there is room again", async () => {
  const { writer, texts, dropped, take } = slowStream();
  const line = "x".repeat(1023);
  for (let count = 0; count < 3_000; count += 1) writer.add(line);
  await turn();
  expect(texts).toHaveLength(1);
  for (let round = 0; round < 20; round += 1) await take();
  const written = texts.join("").split("\n").length - 1;
  expect(dropped).toEqual([3_000 - written]);
  expect(written * 1024).toBeLessThanOrEqual(1024 * 1024);
});

it("is full before it has no room at all, so that more important lines still have some", async () => {
  const { writer, texts, dropped, take } = slowStream();
  let added = 0;
  for (; !writer.isFull; added += 1) writer.add("x".repeat(1023));
  writer.drop();
  writer.add("an important line");
  while (texts.at(-1)?.includes("important") !== true) {
    await turn();
    await take();
  }
  expect(dropped).toEqual([1]);
  expect(texts.join("").split("\n").length - 1).toBe(added + 1);
});

import fc from "fast-check";
import { describe, expect, onTestFinished, test } from "vitest";
import { ContainerLogs, type LogReading } from "../../../origin-gpu/logs/container-logs.ts";
import { DiskLogs } from "../../../origin-gpu/logs/disk-logs.ts";
import type { LogQuery } from "../../../routing/wire/container-logs.ts";
import { temporaryDirectory } from "../../support/temporary.ts";

const APP = { environment: "main", app: "demo" };
const SOON_MS = 5;

/** Logs with a clock that each line advances by a second, unless the test sets it. */
async function world() {
  let nowMs = Date.UTC(2026, 0, 1);
  const limits = { fileBytes: 2_000, filesOfLog: 1_000, bytes: 1e9, files: 1e6 };
  const store = await DiskLogs.open({
    directory: temporaryDirectory(),
    notice: () => undefined,
    limits,
  });
  const logs = new ContainerLogs(store, () => nowMs);
  onTestFinished(async () => await logs.close());
  let count = 0;
  const begin = (app = "demo", functionName = "web", environment = "main") => {
    count += 1;
    const container = `ct-${count.toString(16).padStart(16, "0")}`;
    return logs.begin({ container, environment, app, function: functionName, version: 1 });
  };
  const pass = (milliseconds: number): void => void (nowMs += milliseconds);
  const time = () => new Date(nowMs).toISOString();
  return { logs, begin, pass, time };
}

function compare(one = "", other = ""): number {
  return one < other ? -1 : Number(one > other);
}

function textsOf(lines: readonly string[] | undefined): string[] {
  return (lines ?? []).map((line) => (JSON.parse(line) as { text: string }).text);
}

/** The texts of a query that follows nothing. */
async function read(logs: ContainerLogs, query: Partial<LogQuery> = {}): Promise<string[]> {
  const reading = logs.read({ of: APP, follow: false, ...query }) as LogReading;
  const texts: string[] = [];
  for (;;) {
    const lines = await reading.next(SOON_MS);
    if (lines === undefined) return texts;
    texts.push(...textsOf(lines));
  }
}

describe("the lines of an app's containers", () => {
  test("are read in the order of their times, ended containers included", async () => {
    const { logs, begin, pass } = await world();
    const first = begin();
    first.write("stdout", "1");
    pass(10);
    const second = begin("demo", "api");
    second.write("stdout", "2");
    pass(10);
    first.write("stderr", "3");
    await first.end();
    pass(10);
    second.write("stdout", "4");
    begin("other").write("stdout", "of another app");
    begin("demo", "web", "dev").write("stdout", "of another environment");
    expect(await read(logs)).toEqual(["1", "2", "3", "4"]);
    expect(await read(logs, { of: { ...APP, function: "api" } })).toEqual(["2", "4"]);
    expect(await read(logs, { of: { container: first.of.container } })).toEqual(["1", "3"]);
  });

  test("name their container and function", async () => {
    const { logs, begin, time } = await world();
    const log = begin("demo", 'say "hi"');
    log.write("stdout", "hello");
    const [line = ""] = (await logs.read({ of: APP, follow: false })?.next(SOON_MS)) ?? [];
    expect(JSON.parse(line)).toEqual({
      container: log.of.container,
      function: 'say "hi"',
      number: 1,
      time: time(),
      stream: "stdout",
      text: "hello",
    });
  });

  test("are the last ones alone, or none that is too old, whichever files they are in", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.record({ log: fc.nat(3), wait: fc.nat(3) }), { maxLength: 120, size: "max" }),
        fc.nat(130),
        fc.nat(400),
        async (writes, tail, sinceMs) => {
          const { logs, begin, pass, time } = await world();
          const since = new Date(Date.parse(time()) + sinceMs).toISOString();
          const open = [begin(), begin(), begin(), begin()];
          const written: { text: string; time: string }[] = [];
          for (const [index, { log, wait }] of writes.entries()) {
            pass(wait);
            open[log]?.write("stdout", `${index}`);
            written.push({ text: `${index}`, time: time() });
            if (index % 7 === 0) await logs.flushed();
          }
          const timesOf = (texts: readonly string[]) =>
            texts.map((text) => written[Number(text)]?.time);
          const all = await read(logs);
          expect(all.toSorted((a, b) => Number(a) - Number(b))).toEqual(
            written.map(({ text }) => text),
          );
          const times = timesOf(all);
          expect(times).toEqual(times.toSorted(compare));
          const last = await read(logs, { tail });
          expect(last).toHaveLength(Math.min(tail, written.length));
          expect(timesOf(last)).toEqual(times.slice(all.length - last.length));
          const recent = await read(logs, { since });
          expect(recent).toHaveLength(written.filter((line) => line.time >= since).length);
          await logs.close();
        },
      ),
      { numRuns: 30 },
    );
  });

  test("are unknown for a container without a log, or of another environment", async () => {
    const { logs, begin } = await world();
    const { container } = begin().of;
    expect(logs.read({ of: { container: "ct-0" }, follow: false })).toBeUndefined();
    expect(logs.read({ of: { container, environment: "dev" }, follow: false })).toBeUndefined();
    expect(logs.read({ of: { container, environment: "main" }, follow: false })).toBeDefined();
  });
});

describe("a follower", () => {
  test("gets what was written before and each line after it, once, of new containers too", async () => {
    const { logs, begin, pass } = await world();
    const first = begin();
    for (let count = 0; count < 100; count += 1) first.write("stdout", `before ${count}`);
    const reading = logs.read({ of: APP, follow: true, tail: 2 }) as LogReading;
    onTestFinished(() => reading.close());
    first.write("stdout", "meanwhile");
    pass(1);
    const second = begin();
    second.write("stdout", "of a new container");
    begin("other").write("stdout", "of another app");
    expect(textsOf(await reading.next(SOON_MS))).toEqual(["before 98", "before 99"]);
    expect(textsOf(await reading.next(SOON_MS))).toEqual(["meanwhile", "of a new container"]);
    const next = reading.next(60_000);
    second.write("stdout", "later");
    expect(textsOf(await next)).toEqual(["later"]);
  });

  test("gets a sign of life where nothing is written", async () => {
    const { logs, begin } = await world();
    begin();
    const reading = logs.read({ of: APP, follow: true }) as LogReading;
    expect(await reading.next(SOON_MS)).toEqual([]);
    expect(await reading.next(SOON_MS)).toEqual([]);
    reading.close();
    expect(await reading.next(SOON_MS)).toBeUndefined();
  });

  test("of a container ends with it, after its last line", async () => {
    const { logs, begin } = await world();
    const log = begin();
    const reading = logs.read({ of: { container: log.of.container }, follow: true }) as LogReading;
    log.write("stdout", "the last");
    await log.end();
    const texts: string[] = [];
    for (
      let lines = await reading.next(1_000);
      lines !== undefined;
      lines = await reading.next(1_000)
    ) {
      texts.push(...textsOf(lines));
    }
    expect(texts).toEqual(["the last"]);
  });

  test("of a container that had ended gets its lines and the end", async () => {
    const { logs, begin } = await world();
    const log = begin();
    log.write("stdout", "the last");
    await log.end();
    const reading = logs.read({ of: { container: log.of.container }, follow: true }) as LogReading;
    expect(textsOf(await reading.next(1_000))).toEqual(["the last"]);
    expect(await reading.next(1_000)).toBeUndefined();
  });

  test("that does not read loses lines, which are counted, and holds a bounded number", async () => {
    const { logs, begin } = await world();
    const log = begin();
    const slow = logs.read({ of: APP, follow: true }) as LogReading;
    const quick = logs.read({ of: APP, follow: true }) as LogReading;
    onTestFinished(() => quick.close());
    expect(await slow.next(SOON_MS)).toEqual([]);
    expect(await quick.next(SOON_MS)).toEqual([]);
    const text = "x".repeat(1_000);
    let read = 0;
    for (let count = 0; count < 3_000; count += 1) {
      log.write("stdout", text);
      if (count % 100 === 99) read += (await quick.next(SOON_MS))?.length ?? 0;
    }
    expect(read).toBe(3_000);
    const texts = textsOf(await slow.next(SOON_MS));
    expect(texts.join("").length).toBeLessThan(1_200_000);
    const leftOut = 3_000 - (texts.length - 1);
    expect(texts.at(-1)).toBe(
      `postern: ${leftOut} lines were left out here: they came faster than they were read`,
    );
    log.write("stdout", "after");
    expect(textsOf(await slow.next(SOON_MS))).toEqual(["after"]);
    slow.close();
  });
});

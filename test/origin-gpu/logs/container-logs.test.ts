import { mkdirSync, readdirSync, rmdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { ContainerLogs } from "../../../origin-gpu/logs/container-logs.ts";
import { DiskLogs, type LogLimits } from "../../../origin-gpu/logs/disk-logs.ts";
import type { LogRecord } from "../../../origin-gpu/logs/log-record.ts";
import type { LogStore } from "../../../origin-gpu/logs/log-store.ts";
import { MemoryLogs } from "../../../origin-gpu/logs/memory-logs.ts";
import { temporaryDirectory } from "../../support/temporary.ts";

const LIMITS: LogLimits = { fileBytes: 1_000, filesOfLog: 3, bytes: 20_000, files: 100 };

async function onDisk(limits: Partial<LogLimits> = {}, directory = temporaryDirectory()) {
  const notices: string[] = [];
  const notice = (text: string) => notices.push(text);
  const store = await DiskLogs.open({ directory, notice, limits: { ...LIMITS, ...limits } });
  const logs = new ContainerLogs(store);
  onTestFinished(async () => await logs.close());
  return { store, logs, directory, notices };
}

let containers = 0;

function container(): {
  container: string;
  environment: string;
  app: string;
  function: string;
  version: number;
} {
  containers += 1;
  const id = `ct-${containers.toString(16).padStart(16, "0")}`;
  return { container: id, environment: "main", app: "demo", function: "web", version: 3 };
}

/** All records of a store, by container. */
async function recordsOf({ logs }: LogStore): Promise<Map<string, LogRecord[]>> {
  const all = new Map<string, LogRecord[]>();
  for (const { of, pieces } of logs) {
    const texts = await Promise.all(pieces.map(async (piece) => await piece.read()));
    const lines = texts
      .join("")
      .split("\n")
      .filter((line) => line !== "");
    all.set(
      of.container,
      lines.map((line) => JSON.parse(line) as LogRecord),
    );
  }
  return all;
}

describe("a log on the disk", () => {
  test("has each line with its number, time and stream", async () => {
    const { store, logs } = await onDisk();
    const of = container();
    const log = logs.begin(of);
    log.write("stdout", "héllo \u001b[31mred");
    log.write("stderr", "wörld");
    await logs.flushed();
    const records = (await recordsOf(store)).get(of.container) ?? [];
    expect(records.map(({ number, stream, text }) => [number, stream, text])).toEqual([
      [1, "stdout", "héllo \u001b[31mred"],
      [2, "stderr", "wörld"],
    ]);
    for (const { time } of records) expect(new Date(time).toISOString()).toBe(time);
  });

  test("goes on under the next agent where its container does: no number comes twice", async () => {
    const { logs, directory } = await onDisk();
    const of = container();
    const log = logs.begin(of);
    log.write("stdout", "before");
    log.write("stdout", "at last");
    await logs.close();
    const notice = () => undefined;
    const next = await DiskLogs.open({ directory, notice, running: [of.container] });
    const nextLogs = new ContainerLogs(next);
    nextLogs.begin(of).write("stdout", "after");
    await nextLogs.close();
    const records = (await recordsOf(next)).get(of.container) ?? [];
    expect(records.map(({ number, text }) => [number, text])).toEqual([
      [1, "before"],
      [2, "at last"],
      [3, "after"],
    ]);
    expect(next.logs).toHaveLength(1);
  });

  test("takes no line after its end, and opens no file for one", async () => {
    const { store, logs, directory } = await onDisk();
    const of = container();
    const log = logs.begin(of);
    log.write("stdout", "last words");
    const ended = log.end();
    log.write("postern", "while it ends");
    await ended;
    log.write("postern", "after its end");
    await log.flushed();
    const records = (await recordsOf(store)).get(of.container) ?? [];
    expect(records.map(({ text }) => text)).toEqual(["last words"]);
    expect(readdirSync(directory)).toEqual([`${of.container}.0.log`]);
  });

  test("is read by the agent's own user alone", async () => {
    const { logs, directory } = await onDisk();
    logs.begin(container()).write("stdout", "a secret");
    await logs.flushed();
    const [name = ""] = readdirSync(directory);
    expect(statSync(join(directory, name)).mode & 0o777).toBe(0o600);
  });

  test("loses its oldest files beyond its limit, and no others' lines", async () => {
    const { store, logs, directory } = await onDisk();
    const [quiet, loud] = [container(), container()];
    logs.begin(quiet).write("stdout", "quiet");
    const log = logs.begin(loud);
    for (let count = 1; count <= 200; count += 1) {
      log.write("stdout", `line ${count}`);
      if (count % 5 === 0) await logs.flushed();
    }
    const files = readdirSync(directory).filter((name) => name.startsWith(loud.container));
    expect(files).toHaveLength(3);
    for (const name of files) {
      expect(statSync(join(directory, name)).size).toBeLessThanOrEqual(LIMITS.fileBytes);
    }
    const records = await recordsOf(store);
    expect(records.get(quiet.container)).toHaveLength(1);
    const numbers = (records.get(loud.container) ?? []).map(({ number }) => number);
    expect(numbers).toEqual(Array.from(numbers, (_, index) => 201 - numbers.length + index));
  });

  test("of a container that ended goes first where all logs together are too large", async () => {
    const { store, logs } = await onDisk({ bytes: 2_500 });
    const ended = [container(), container(), container()];
    for (const of of ended) {
      const log = logs.begin(of);
      for (let count = 0; count < 8; count += 1) log.write("stdout", "x".repeat(20));
      await log.end();
    }
    const running = container();
    const log = logs.begin(running);
    for (let count = 0; count < 12; count += 1) {
      log.write("stdout", "y".repeat(50));
      await logs.flushed();
    }
    const kept = [...(await recordsOf(store)).keys()];
    expect(kept).not.toContain(ended[0]?.container);
    expect(kept).toContain(running.container);
  });

  test("goes with its number of files: a box may start a container each minute", async () => {
    const { store, logs, directory } = await onDisk({ files: 3 });
    for (let count = 0; count < 10; count += 1) {
      const log = logs.begin(container());
      log.write("stdout", "started");
      await log.end();
    }
    expect(store.logs.length).toBeLessThanOrEqual(4);
    expect(readdirSync(directory).length).toBeLessThanOrEqual(4);
  });

  test("is there for the next agent, which writes none of the old files", async () => {
    const first = await onDisk();
    const of = container();
    first.logs.begin(of).write("stdout", "before");
    await first.logs.flushed();
    // A crash in the middle of a line, and of a file's beginning.
    const [name = ""] = readdirSync(first.directory);
    writeFileSync(join(first.directory, "ct-abc.0.log"), '{"container":"ct-a');
    writeFileSync(join(first.directory, "README"), "not a log");
    const next = await onDisk({}, first.directory);
    expect((await recordsOf(next.store)).get(of.container)).toMatchObject([{ text: "before" }]);
    expect(next.store.logs[0]?.of).toMatchObject(of);
    expect(readdirSync(first.directory).toSorted()).toEqual(["README", name].toSorted());
  });

  test("is found by each function that its container serves, by the next agent too", async () => {
    const limits = { fileBytes: 100_000, bytes: 1_000_000 };
    const { logs, directory } = await onDisk(limits);
    // Long enough to be more than a block of the disk.
    const guests = Array.from({ length: 250 }, (_, index) => `${"guest".repeat(25)}${index}`);
    logs.begin({ ...container(), guests }).write("stdout", "shared");
    logs.begin({ ...container(), function: "other" }).write("stdout", "other");
    await logs.flushed();
    const next = await onDisk(limits, directory);
    for (const name of ["web", guests[0], guests.at(-1)]) {
      const of = { environment: "main", app: "demo", function: name ?? "" };
      for (const reader of [logs, next.logs]) {
        const lines = await reader.read({ of, follow: false })?.next(10_000);
        expect(lines).toEqual([expect.stringContaining('"text":"shared"')]);
      }
    }
  });

  test("says how many lines a full disk did not take, once it takes some again", async () => {
    const { store, logs, directory, notices } = await onDisk();
    const of = container();
    const log = logs.begin(of);
    log.write("stdout", "before");
    await logs.flushed();
    // The next file can't be made.
    const inTheWay = join(directory, `${of.container}.1.log`);
    mkdirSync(inTheWay);
    for (let count = 0; count < 3; count += 1) {
      log.write("stdout", "z".repeat(950));
      await logs.flushed();
    }
    expect(notices).toHaveLength(3);
    rmdirSync(inTheWay);
    log.write("stdout", "after");
    await logs.flushed();
    const records = (await recordsOf(store)).get(of.container) ?? [];
    expect(records.map(({ text }) => text)).toEqual([
      "before",
      "postern: 3 lines were left out: the disk was too slow or full",
      "after",
    ]);
  });
});

describe("a log in memory", () => {
  test("has the newest lines alone", async () => {
    const store = new MemoryLogs();
    const logs = new ContainerLogs(store);
    const of = container();
    const log = logs.begin(of);
    for (let count = 1; count <= 100_000; count += 1) log.write("stdout", `line ${count}`);
    const records = (await recordsOf(store)).get(of.container) ?? [];
    expect(records.at(-1)?.text).toBe("line 100000");
    const size = records.reduce((sum, record) => sum + JSON.stringify(record).length, 0);
    expect(size).toBeGreaterThan(100_000);
    expect(size).toBeLessThanOrEqual(256 * 1024);
  });

  test("of a container that ended is kept until many others have ended", async () => {
    const store = new MemoryLogs();
    const logs = new ContainerLogs(store);
    const first = container();
    const many = [first, ...Array.from({ length: 40 }, container)];
    for (const of of many) {
      const log = logs.begin(of);
      log.write("stdout", "here");
      await log.end();
    }
    const kept = [...(await recordsOf(store)).keys()];
    expect(kept).toEqual(many.slice(-32).map(({ container: id }) => id));
  });
});

/** What somebody sees of an upload. */
import { expect, test } from "vitest";
import { shownBytes, UploadProgress } from "../../../cli/deploy/upload-progress.ts";

function written(isTerminal: boolean, steps: (progress: UploadProgress, clock: Clock) => void) {
  const clock: Clock = { ms: 0 };
  const texts: string[] = [];
  const output = { isTerminal, now: () => clock.ms, write: (text: string) => texts.push(text) };
  steps(new UploadProgress("code to gpu-1", 2_000_000, output), clock);
  return texts;
}

interface Clock {
  ms: number;
}

test("a log gets a line every five seconds, and one at the end", () => {
  const texts = written(false, (progress, clock) => {
    for (clock.ms = 1_000; clock.ms < 10_000; clock.ms += 1_000)
      progress.onProgress(clock.ms * 200);
    progress.onDone();
  });
  expect(texts).toEqual([
    "uploading code to gpu-1: 1.0 MB of 2.0 MB, 200.0 kB/s\n",
    "uploading code to gpu-1: 2.0 MB, 200.0 kB/s\n",
  ]);
});

test("a terminal gets one line that changes, and what comes next begins on another", () => {
  const texts = written(true, (progress, clock) => {
    clock.ms = 250;
    progress.onProgress(500_000);
    clock.ms = 260;
    progress.onProgress(600_000);
    progress.onFailed();
  });
  expect(texts).toEqual(["\ruploading code to gpu-1: 500.0 kB of 2.0 MB, 2.0 MB/s\u001B[K", "\n"]);
});

test.each([
  [0, "0 B"],
  [999, "999 B"],
  [1_000, "1.0 kB"],
  [999_949, "999.9 kB"],
  [999_951, "1.0 MB"],
  [5e12, "5000.0 GB"],
])("%d bytes are shown as %s", (bytes, text) => {
  expect(shownBytes(bytes)).toBe(text);
});

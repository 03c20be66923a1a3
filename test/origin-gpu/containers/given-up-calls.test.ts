import { Duplex } from "node:stream";
import { describe, expect, test } from "vitest";

import { GivenUpCalls } from "../../../origin-gpu/containers/given-up-calls.ts";

/** The launcher's end of the channel. */
class Launcher extends Duplex {
  asked = "";

  override _read(): void {
    // It speaks when the test lets it.
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.asked += chunk.toString();
    done();
  }
}

async function isSettled(promise: Promise<void>): Promise<boolean> {
  let settled = false;
  void promise.then(() => (settled = true));
  await new Promise(setImmediate);
  return settled;
}

describe("a call that was given up", () => {
  test("has ended when the launcher says so, however its lines come", async () => {
    const launcher = new Launcher();
    const calls = new GivenUpCalls({ reads: launcher, writes: launcher });
    const [first, second] = [calls.ended("c-1"), calls.ended("c-2")];
    expect(launcher.asked).toBe("c-1\nc-2\n");
    launcher.push("c-2\nc-");
    expect(await isSettled(second)).toBe(true);
    expect(await isSettled(first)).toBe(false);
    launcher.push("1\n");
    await first;
  });

  test("is asked about once, for all who wait", async () => {
    const launcher = new Launcher();
    const calls = new GivenUpCalls({ reads: launcher, writes: launcher });
    const both = [calls.ended("c-1"), calls.ended("c-1")];
    expect(launcher.asked).toBe("c-1\n");
    launcher.push("c-1\n");
    await Promise.all(both);
  });

  test("has ended with its launcher", async () => {
    const launcher = new Launcher();
    const calls = new GivenUpCalls({ reads: launcher, writes: launcher });
    const waiting = calls.ended("c-1");
    launcher.destroy(new Error("gone"));
    await waiting;
    await calls.ended("c-2");
    expect(launcher.asked).toBe("c-1\n");
  });

  test("is not asked about by a name that is none", async () => {
    const launcher = new Launcher();
    await new GivenUpCalls({ reads: launcher, writes: launcher }).ended("c-1\nc-2");
    expect(launcher.asked).toBe("");
  });
});

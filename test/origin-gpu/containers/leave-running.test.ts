/** The note of a container that runs on, and what is noted where the disk is full. */
import { expect, test } from "vitest";
import { leaveRunning } from "../../../origin-gpu/containers/leave-running.ts";
import type { LeftRecord } from "../../../origin-gpu/containers/left-record.ts";

/** Leaves a container with a session, on a disk that takes notes for which it has room. */
async function leave(hasRoom: (note: LeftRecord) => boolean) {
  const noted: LeftRecord[] = [];
  let isLetGo = false;
  const channel = { to: 5, from: 6 };
  const left = { pid: process.pid, commands: 1, reports: 2, out: 3, err: 4, channel };
  const group = {
    isSupervised: true,
    leave: async () => await Promise.resolve(left),
    letGo: () => void (isLetGo = true),
  };
  const leaveNote = async (_container: string, note: LeftRecord) => {
    if (hasRoom(note)) noted.push(note);
    return await Promise.resolve(hasRoom(note));
  };
  const problem = await leaveRunning(group, {
    container: "ct-1",
    endpoint: "main/shop/web",
    version: 1,
    directory: "/code",
    user: "",
    variables: {},
    port: 20_000,
    origin: "http://127.0.0.1:20000",
    startedAtMs: 0,
    stopSignal: "SIGTERM",
    exitGracePeriod: 5,
    claim: { cards: [] },
    sessions: { sessions: [{ idleMs: 0, keys: ["x-session=a"] }], ofTheBox: [] },
    records: { leave: leaveNote },
  });
  return { problem, isLetGo, sessions: noted.map((note) => typeof note.sessions) };
}

test("its sessions are noted with it", async () => {
  const left = await leave(() => true);
  expect(left).toEqual({ problem: undefined, isLetGo: true, sessions: ["string"] });
});

test("without room for its sessions it runs on without them", async () => {
  const left = await leave(({ sessions }) => sessions === undefined);
  expect(left).toEqual({ problem: undefined, isLetGo: true, sessions: ["undefined"] });
});

test("without room for any note it does not", async () => {
  const left = await leave(() => false);
  const problem = "no note of it can be written to the disk";
  expect(left).toEqual({ problem, isLetGo: false, sessions: [] });
});

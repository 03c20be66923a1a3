import { describe, expect, test } from "vitest";
import type { ApiLogLine } from "../../../api/logs.ts";
import { Unavailable } from "../../../cli/client.ts";
import { CommandFailure, UsageError } from "../../../cli/failure.ts";
import { type AskForLines, BoxLog } from "../../../cli/logs/box-log.ts";
import { followLog } from "../../../cli/logs/follow-logs.ts";
import { type BoxLine, LineOwners, logRange, shownLine } from "../../../cli/logs/log-line.ts";
import { readLogs } from "../../../cli/logs/read-logs.ts";

const NOW_MS = Date.UTC(2026, 0, 31, 12);
const { signal } = new AbortController();

function timeOf(second: number): string {
  return new Date(NOW_MS + second * 1_000).toISOString();
}

function line(second: number, container = "ct-1", number = second): ApiLogLine {
  const text = `${container} ${number}`;
  return { container, function: "web", number, time: timeOf(second), stream: "stdout", text };
}

/** A box that answers each question with the next of these; an error breaks the lines off. */
function stub(...answers: (ApiLogLine | undefined | Error)[][]) {
  const queries: Parameters<AskForLines>[1][] = [];
  const ask: AskForLines = async function* (_box, query) {
    queries.push(query);
    for (const part of answers.shift() ?? []) {
      if (part instanceof Error) throw part;
      yield part;
    }
  };
  return { ask, queries };
}

async function textsOf(lines: AsyncIterable<BoxLine | undefined>): Promise<string[]> {
  const texts: string[] = [];
  for await (const one of lines) if (one !== undefined) texts.push(one.text);
  return texts;
}

describe("which lines", () => {
  test.each([
    [{}, { tail: 100 }],
    [{ tail: "0" }, { tail: 0 }],
    [{ since: "10m" }, { since: "2026-01-31T11:50:00.000Z" }],
    [
      { since: "1d", tail: "5" },
      { since: "2026-01-30T12:00:00.000Z", tail: 5 },
    ],
    [{ since: "2026-01-31T10:00Z" }, { since: "2026-01-31T10:00:00.000Z" }],
    [{ since: "2026-01-31T10:00+01:00" }, { since: "2026-01-31T09:00:00.000Z" }],
  ])("%j means %j", (values, range) => {
    expect(logRange(values, NOW_MS)).toEqual(range);
  });

  test.each([
    { since: "10" },
    { since: "yesterday" },
    { since: "-5m" },
    { since: "2026-13-01" },
    { since: "99999999d" },
    { tail: "all" },
    { tail: "10001" },
    { tail: "-1" },
  ])("%j means nothing", (values) => {
    expect(() => logRange(values, NOW_MS)).toThrow(UsageError);
  });

  test("are shown as they were printed, with their times, or as JSON", () => {
    const shown = { box: "gpu-1", ...line(1) };
    expect(shownLine(shown, {})).toBe("ct-1 1");
    expect(shownLine(shown, { timestamps: true })).toBe("2026-01-31T12:00:01.000Z ct-1 1");
    expect(JSON.parse(shownLine(shown, { json: true, timestamps: true }))).toEqual(shown);
  });
});

describe("whose a line is", () => {
  const of = (functionName: string, container: string): BoxLine => ({
    box: "gpu-1",
    ...line(1, container),
    function: functionName,
    text: "hello",
  });
  const shownBy = (owners: LineOwners) => (one: BoxLine) => shownLine(one, { owners });

  test("is not said of one function's one container", () => {
    const shown = shownBy(new LineOwners(["web"]));
    expect(shown(of("web", "ct-1"))).toBe("hello");
    expect(shown(of("web", "ct-1"))).toBe("hello");
  });

  test("is said by the function where the app has several", () => {
    const shown = shownBy(new LineOwners(["web", "chat"]));
    expect(shown(of("web", "ct-1"))).toBe("[web] hello");
    expect(shown(of("chat", "ct-2"))).toBe("[chat] hello");
    expect(
      shownLine(of("web", "ct-1"), { timestamps: true, owners: new LineOwners(["a", "b"]) }),
    ).toBe("2026-01-31T12:00:01.000Z [web] hello");
  });

  test("is said by the container as soon as lines of a second one of the function come", () => {
    const shown = shownBy(new LineOwners(["web", "chat"]));
    shown(of("web", "ct-1"));
    expect(shown(of("web", "ct-2"))).toBe("[web ct-2] hello");
    expect(shown(of("web", "ct-1"))).toBe("[web ct-1] hello");
    expect(shown(of("chat", "ct-3"))).toBe("[chat] hello");
    const alone = shownBy(new LineOwners(["web"]));
    alone(of("web", "ct-1"));
    expect(alone(of("web", "ct-2"))).toBe("[ct-2] hello");
  });

  test("is not said of a line about the reading itself, nor in JSON", () => {
    const owners = new LineOwners(["web", "chat"]);
    expect(shownBy(owners)(of("", ""))).toBe("hello");
    expect(JSON.parse(shownLine(of("web", "ct-1"), { json: true, owners }))).toEqual(
      of("web", "ct-1"),
    );
  });
});

describe("lines of several boxes", () => {
  test("come in the order of their times, and a box that fails does not keep the others", async () => {
    const gone = new Unavailable("gone");
    const boxes = {
      a: stub([line(1), line(4)]),
      b: stub([line(2), line(3), gone]),
      c: stub([gone]),
    };
    const logs = Object.entries(boxes).map(
      ([box, { ask }]) => new BoxLog(box, { ask, range: {}, signal }),
    );
    const failed: string[] = [];
    const lines = readLogs(logs, undefined, (box) => failed.push(box));
    expect(await textsOf(lines)).toEqual(["ct-1 1", "ct-1 2", "ct-1 3", "ct-1 4"]);
    expect(failed.toSorted()).toEqual(["b", "c"]);
  });

  test.each([0, 1, 3, 10])("are the last %i of all of them", async (tail) => {
    const logs = [stub([line(1), line(4)]), stub([line(2), line(3), line(5)])].map(
      ({ ask }, box) => new BoxLog(`${box}`, { ask, range: { tail }, signal }),
    );
    const lines = await textsOf(readLogs(logs, tail, () => undefined));
    const all = ["ct-1 1", "ct-1 2", "ct-1 3", "ct-1 4", "ct-1 5"];
    expect(lines).toEqual(all.slice(5 - Math.min(5, tail)));
  });
});

describe("a box that is followed", () => {
  function follow(box: BoxLog) {
    const lines: string[] = [];
    const notices: string[] = [];
    const following = followLog(box, {
      print: async ({ text }) => void lines.push(text),
      notice: (text) => notices.push(text),
      signal,
      pause: async () => undefined,
    });
    return { lines, notices, following };
  }

  test("goes on where it was lost, and says both", async () => {
    const gone = new Unavailable("the link broke");
    const { ask, queries } = stub(
      [undefined, line(1), line(2, "ct-2", 1), gone],
      [gone],
      // The same second may have had more lines.
      [undefined, line(2, "ct-2", 1), line(2, "ct-2", 2), line(3, "ct-1", 2)],
    );
    const { lines, notices, following } = follow(
      new BoxLog("gpu-1", { ask, range: { tail: 5 }, signal }),
    );
    await following;
    expect(lines).toEqual(["ct-1 1", "ct-2 1", "ct-2 2", "ct-1 2"]);
    expect(notices).toEqual([
      "gpu-1 is away, and its lines go on when it is back: the link broke",
      "gpu-1 is back",
    ]);
    expect(queries).toEqual([
      { tail: 5, follow: "true" },
      { since: timeOf(2), follow: "true" },
      { since: timeOf(2), follow: "true" },
    ]);
  });

  test("tells of lines that it left out, each time", async () => {
    const leftOut = { ...line(1, "", 0), text: "postern: 3 lines were left out" };
    const { ask } = stub([line(1), leftOut, leftOut]);
    const { lines, following } = follow(new BoxLog("gpu-1", { ask, range: {}, signal }));
    await following;
    expect(lines).toEqual(["ct-1 1", leftOut.text, leftOut.text]);
  });

  test("that refuses ends the command", async () => {
    const { ask } = stub([new CommandFailure("no such app")]);
    const { following } = follow(new BoxLog("gpu-1", { ask, range: {}, signal }));
    await expect(following).rejects.toThrow("no such app");
  });
});

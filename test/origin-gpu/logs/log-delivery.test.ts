import { setImmediate as turn } from "node:timers/promises";
import { expect, onTestFinished, test } from "vitest";
import { serveOperation } from "../../../origin-gpu/link/operation-server.ts";
import { ContainerLogs } from "../../../origin-gpu/logs/container-logs.ts";
import { operationHandlers } from "../../../origin-gpu/operations.ts";
import type { LogQuery } from "../../../routing/wire/container-logs.ts";
import { parseOpenHead } from "../../../routing/wire/heads.ts";
import type { Failure } from "../../../routing/wire/messages.ts";
import type { Stream, StreamEvents } from "../../../routing/wire/multiplexer.ts";
import { LinkPair } from "../../routing/wire/link-pair.ts";

const NO_CONTAINERS = { containers: [], stopContainer: () => false };
const OF_DEMO = { environment: "main", app: "demo" };

function linkTo(logs: ContainerLogs): LinkPair {
  const handlers = operationHandlers({
    isDraining: () => false,
    calls: {
      list: () => ({ calls: [], next: undefined }),
      inspect: () => undefined,
      cancel: () => undefined,
      reportStatus: () => [],
      keys: { release: () => true },
    },
    apps: { find: () => undefined, activity: [], ...NO_CONTAINERS },
    logs,
    workspace: "local",
    box: "gpu-1",
    deployments: undefined,
  });
  return new LinkPair({
    onOpen: (stream, text, body, end) => {
      const head = parseOpenHead(text);
      if (!("operation" in head)) throw new Error("a call is no operation");
      return serveOperation(head, { stream, body, end }, handlers);
    },
    onAttach: () => {
      throw new Error("an operation is no call");
    },
  });
}

/** The gateway's end of one query. */
class Reader implements StreamEvents {
  readonly stream: Stream;
  failure: Failure | undefined;
  text = "";
  ended = false;
  /** Gives credit back at once. */
  isReading = true;

  constructor(link: LinkPair, query: Partial<LogQuery> = {}, workspace = "local") {
    const parameters = { workspace, of: OF_DEMO, follow: false, ...query };
    const head = JSON.stringify({ operation: "containerLogs", parameters });
    this.stream = link.gateway.open(head, Buffer.alloc(0), true, this) as Stream;
  }

  onHead(_head: string, body: Uint8Array, end: boolean): void {
    this.onData(body, end);
  }

  onData(bytes: Uint8Array, end: boolean): void {
    this.text += Buffer.from(bytes).toString();
    this.ended ||= end;
    if (this.isReading) this.stream.consume(bytes.length);
  }

  onWindow(): void {
    // The request has no body.
  }

  onEnd(ending: Parameters<StreamEvents["onEnd"]>[0]): void {
    if ("failure" in ending) this.failure = JSON.parse(ending.failure) as Failure;
  }
}

function logsOfDemo() {
  const logs = new ContainerLogs();
  onTestFinished(async () => await logs.close());
  const log = logs.begin({ container: "ct-1", ...OF_DEMO, function: "web", version: 1 });
  return { logs, log };
}

/** Lets messages pass until something holds. */
async function until(link: LinkPair, holds: () => boolean): Promise<void> {
  while (!holds()) {
    link.exchange();
    await turn();
  }
}

test("lines are sent one a line, and the response ends with them", async () => {
  const { logs, log } = logsOfDemo();
  log.write("stdout", "one");
  log.write("stderr", "two");
  const link = linkTo(logs);
  const reader = new Reader(link);
  await until(link, () => reader.ended);
  const lines = reader.text
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as { text: string });
  expect(lines.map(({ text }) => text)).toEqual(["one", "two"]);
});

test("a follower that reads nothing holds up neither the log nor another follower", async () => {
  const { logs, log } = logsOfDemo();
  const link = linkTo(logs);
  const stopped = new Reader(link, { follow: true });
  stopped.isReading = false;
  const other = new Reader(link, { follow: true });
  for (let count = 0; count < 400; count += 1) {
    log.write("stdout", "x".repeat(8_000));
    link.exchange();
    await turn();
  }
  log.write("stdout", "the end");
  await until(link, () => other.text.includes("the end"));
  expect(stopped.text.length).toBeLessThan(1_000_000);
});

test("a reader that leaves gives its place to another", async () => {
  const { logs } = logsOfDemo();
  const link = linkTo(logs);
  const readers = Array.from({ length: 64 }, () => new Reader(link, { follow: true }));
  link.exchange();
  const refused = new Reader(link, { follow: true });
  await until(link, () => refused.failure !== undefined);
  expect(refused.failure).toMatchObject({ code: "unavailable" });
  expect(readers.filter(({ failure }) => failure !== undefined)).toEqual([]);
  readers[0]?.stream.cancel();
  let next = new Reader(link);
  await until(link, () => {
    if (next.failure !== undefined) next = new Reader(link);
    return next.ended;
  });
});

test.each([
  [{ of: { container: "ct-2" } }, "local", "not_found"],
  [{}, "another", "not_found"],
  [{ of: { container: "../../etc/passwd" } }, "local", "bad_request"],
  [{ since: "yesterday" }, "local", "bad_request"],
] as const)("%j of the workspace %s is refused: %s", async (query, workspace, code) => {
  const { logs } = logsOfDemo();
  const link = linkTo(logs);
  const reader = new Reader(link, query, workspace);
  await until(link, () => reader.failure !== undefined);
  expect(reader.failure?.code).toBe(code);
});

/** Sends the lines of logs to the gateway, as fast as the window of the reader's stream opens. */
import { LOG_HEARTBEAT_MS, type LogQuery } from "../../routing/wire/container-logs.ts";
import type { Failure } from "../../routing/wire/messages.ts";
import type { Stream, StreamEvents } from "../../routing/wire/multiplexer.ts";
import { StreamWriter } from "../../routing/wire/stream-writer.ts";
import { refuse, responseHead } from "../link/operation-server.ts";
import type { ContainerLogs, LogReading } from "./container-logs.ts";

/** Each reader may hold lines in memory, and takes a stream of a link. */
const MAX_READERS = 64;

/** Answers queries, a bounded number at a time. */
export function logReader(
  logs: Pick<ContainerLogs, "read">,
): (query: LogQuery, stream: Stream) => StreamEvents {
  let readers = 0;
  return (query, stream) => {
    if (readers >= MAX_READERS) return refuse(stream, TOO_MANY_READERS);
    const reading = logs.read(query);
    if (reading === undefined) return refuse(stream, NO_LOG);
    readers += 1;
    return new LogDelivery(stream, reading, () => (readers -= 1));
  };
}

class LogDelivery implements StreamEvents {
  readonly #stream: Stream;
  readonly #writer: StreamWriter;
  readonly #reading: LogReading;

  constructor(stream: Stream, reading: LogReading, onEnd: () => void) {
    this.#stream = stream;
    this.#writer = new StreamWriter(stream);
    this.#reading = reading;
    // A follower learns at once that the box is there.
    stream.sendHead(responseHead(200, ["content-type", "application/x-ndjson"]));
    this.#run()
      .catch(() => {
        if (!stream.closed) stream.reset(UNREADABLE);
      })
      .finally(() => {
        reading.close();
        onEnd();
      });
  }

  onData(): void {
    // The operation has no body.
  }

  onWindow(): void {
    this.#writer.wake();
  }

  onEnd(): void {
    this.#writer.wake();
    this.#reading.close();
  }

  async #run(): Promise<void> {
    for (;;) {
      const lines = await this.#reading.next(LOG_HEARTBEAT_MS);
      if (this.#stream.closed) return;
      if (lines === undefined) break;
      const text = lines.length === 0 ? "\n" : `${lines.join("\n")}\n`;
      if (!(await this.#writer.write(Buffer.from(text)))) return;
    }
    this.#stream.sendData([], true);
  }
}

const TOO_MANY_READERS: Failure = {
  code: "unavailable",
  detail: `${MAX_READERS} readers have the box's logs open, which is the limit`,
  retryAfter: 5,
};

const NO_LOG: Failure = { code: "not_found", detail: "the box has no log of this container" };

const UNREADABLE: Failure = { code: "unavailable", detail: "the box can't read its logs" };

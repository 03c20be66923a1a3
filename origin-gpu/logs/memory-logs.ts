/** Logs in memory, for an agent without a state directory: the newest lines of each container alone. */
import type { LoggedContainer } from "./log-record.ts";
import type { LogPiece, LogSink, LogStore, StoredLog } from "./log-store.ts";

/** Of one container. */
const MAX_LOG_CHARACTERS = 256 * 1024;

/** Logs of containers that have ended. */
const MAX_ENDED_LOGS = 32;

export class MemoryLogs implements LogStore {
  readonly #logs = new Set<MemoryLog>();

  get logs(): readonly StoredLog[] {
    return [...this.#logs].filter(({ pieces }) => pieces.length > 0);
  }

  lastNumberOf(): number {
    return 0;
  }

  begin(of: LoggedContainer): LogSink {
    const log = new MemoryLog(of);
    this.#logs.add(log);
    return {
      add: (record) => log.add(record),
      flushed: async () => undefined,
      end: async () => {
        log.isEnded = true;
        this.#forgetOldest();
      },
    };
  }

  #forgetOldest(): void {
    const ended = [...this.#logs].filter(({ isEnded }) => isEnded);
    for (const log of ended.slice(0, -MAX_ENDED_LOGS)) this.#logs.delete(log);
  }
}

class MemoryLog implements StoredLog {
  readonly of: LoggedContainer;
  isEnded = false;
  #records: string[] = [];
  #characters = 0;
  #writtenAtMs = 0;

  constructor(of: LoggedContainer) {
    this.of = of;
  }

  get pieces(): readonly LogPiece[] {
    if (this.#records.length === 0) return [];
    return [{ writtenAtMs: this.#writtenAtMs, read: async () => `${this.#records.join("\n")}\n` }];
  }

  add(record: string): void {
    this.#writtenAtMs = Date.now();
    this.#records.push(record);
    this.#characters += record.length;
    if (this.#characters > MAX_LOG_CHARACTERS) this.#halve();
  }

  /** Forgets the older half at once: to forget line by line would move all others each time. */
  #halve(): void {
    let kept = this.#records.length;
    let characters = 0;
    while (kept > 0 && characters + (this.#records[kept - 1] as string).length <= HALF) {
      kept -= 1;
      characters += (this.#records[kept] as string).length;
    }
    this.#records = this.#records.slice(kept);
    this.#characters = characters;
  }
}

const HALF = MAX_LOG_CHARACTERS / 2;

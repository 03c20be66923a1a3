/** Shows what an app's containers print, on all of its boxes: the lines that are kept, and those that come. */
import { setTimeout as delay } from "node:timers/promises";
import { GET_APP } from "../../api/apps.ts";
import { LIST_BOXES } from "../../api/boxes.ts";
import { READ_APP_LOG } from "../../api/logs.ts";
import { type ApiClient, Unavailable } from "../client.ts";
import { CommandFailure } from "../failure.ts";
import { BoxLog } from "./box-log.ts";
import { type Following, followLog } from "./follow-logs.ts";
import type { LogRange } from "./log-line.ts";
import { readLogs } from "./read-logs.ts";

/** How soon a box is followed that the app has anew. */
const BOXES_EVERY_MS = 5_000;

export interface AppLogQuery {
  /** As the user called it. */
  readonly app: string;
  readonly environment: string;
  readonly function?: string | undefined;
  readonly range: LogRange;
}

export class AppLogs {
  readonly #client: ApiClient;
  readonly #query: AppLogQuery;
  readonly #following: Following;
  readonly #logs = new Map<string, BoxLog>();

  constructor(client: ApiClient, query: AppLogQuery, following: Following) {
    this.#client = client;
    this.#query = query;
    this.#following = following;
  }

  /** Shows what the connected boxes keep; an app that moved has lines on former ones. @throws {CommandFailure} */
  async show(): Promise<void> {
    const { notice, print } = this.#following;
    const boxes = await this.#client.list(LIST_BOXES, {});
    const logs = boxes.filter(({ connected }) => connected).map(({ name }) => this.#logOf(name));
    const failures: CommandFailure[] = [];
    const onFailure = (box: string, error: CommandFailure): void => {
      failures.push(error);
      notice(`${box} does not say what its containers printed: ${error.message}`);
    };
    for await (const line of readLogs(logs, this.#query.range.tail, onFailure)) await print(line);
    if (logs.length === 0) notice("no box is connected, and boxes alone have the lines");
    if (failures.length > 0 && failures.length === logs.length) {
      throw new CommandFailure("no box told its lines");
    }
  }

  /** Shows the lines that come, until the signal aborts. @throws {CommandFailure} */
  async follow(): Promise<void> {
    const { signal, notice } = this.#following;
    const followed = new Map<string, Promise<void>>();
    while (!signal.aborted) {
      for (const box of await this.#boxes()) {
        if (followed.has(box)) continue;
        const following = followLog(this.#logOf(box), this.#following).catch((error: unknown) => {
          if (!(error instanceof CommandFailure)) throw error;
          notice(`${box} is followed no more: ${error.message}`);
        });
        followed.set(box, following);
      }
      const pause = delay(BOXES_EVERY_MS, undefined, { signal }).catch(() => undefined);
      // A fault of ours in a follower ends the command.
      await Promise.race([pause, ...[...followed.values()].map(neverUnlessRejected)]);
    }
    await Promise.all(followed.values());
  }

  /** The app's boxes now; none where the gateway can't be asked, which those that are followed tell of. */
  async #boxes(): Promise<string[]> {
    const { app, environment } = this.#query;
    try {
      const { boxes } = await this.#client.call(GET_APP, { path: { app }, query: { environment } });
      return boxes.map(({ name }) => name);
    } catch (error) {
      if (error instanceof Unavailable) return [];
      throw error;
    }
  }

  #logOf(box: string): BoxLog {
    const known = this.#logs.get(box);
    if (known !== undefined) return known;
    const { app, environment, function: functionName, range } = this.#query;
    const log = new BoxLog(box, {
      range,
      signal: this.#following.signal,
      ask: (name, lines, signal) => {
        const query = { environment, function: functionName, ...lines };
        return this.#client.lines(READ_APP_LOG, { path: { box: name, app }, query }, signal);
      },
    });
    this.#logs.set(box, log);
    return log;
  }
}

async function neverUnlessRejected(following: Promise<void>): Promise<never> {
  await following;
  return await new Promise(() => undefined);
}

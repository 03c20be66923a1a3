/**
 * The load generator: a process of its own that is cheaper than every server it drives. Raw sockets,
 * keep-alive, one request in flight per connection, requests prebuilt, answers measured by their
 * framing and not otherwise looked at. Jobs come over IPC, results go back the same way.
 */
import type { Address } from "../../support/http-client.ts";
import { download, upload } from "./bulk.ts";
import { firstChunks, requests, waits } from "./requests.ts";
import { type StreamLoad, chunkDelays, streamMemory } from "./streams.ts";
import type { LoadResult, ServerPids } from "./usage.ts";
import { websockets } from "./websockets.ts";

/** What is done, whatever the target is. */
export type Load =
  | { readonly kind: "requests"; readonly connections: number; readonly forMs: number }
  | {
      readonly kind: "waits";
      readonly connections: number;
      readonly forMs: number;
      readonly waitMs: number;
    }
  | { readonly kind: "first chunks"; readonly count: number }
  | ({ readonly kind: "chunk delays"; readonly forMs: number } & StreamLoad)
  | ({ readonly kind: "stream memory" } & StreamLoad)
  | { readonly kind: "download" | "upload"; readonly bytes: number }
  | { readonly kind: "websockets"; readonly connections: number; readonly forMs: number };

export interface Job {
  readonly load: Load;
  readonly target: Address;
  /** Where the app itself is asked whether the clients' leaving has reached it. */
  readonly app: Address;
  /** The servers that a request to the target passes. */
  readonly pids: ServerPids;
}

export type JobOutcome = { readonly result: LoadResult } | { readonly error: string };

async function run({ load, target, app, pids }: Job): Promise<LoadResult> {
  switch (load.kind) {
    case "requests":
      return await requests(target, pids, load);
    case "waits":
      return await waits(target, pids, load);
    case "first chunks":
      return await firstChunks(target, pids, load);
    case "chunk delays":
      return await chunkDelays(target, pids, app, load);
    case "stream memory":
      return await streamMemory(target, pids, app, load);
    case "download":
      return await download(target, pids, load);
    case "upload":
      return await upload(target, pids, load);
    case "websockets":
      return await websockets(target, pids, load);
    default:
      throw new Error(`unknown load ${JSON.stringify(load satisfies never)}`);
  }
}

process.on("message", (job: Job) => {
  const answer = (outcome: JobOutcome): void => void process.send?.(outcome);
  run(job).then(
    (result) => answer({ result }),
    (error: unknown) => answer({ error: String(error) }),
  );
});

/**
 * One deployment: stages the version, uploads its code to a box, starts the version and watches it until it
 * serves. Before the start nothing changes for the app's callers, and a deployment that is interrupted then is
 * abandoned.
 */

import {
  ABANDON_VERSION,
  type ApiVersion,
  STAGE_VERSION,
  START_VERSION,
} from "../../api/versions.ts";
import { UPLOAD_CODE } from "../../api/boxes.ts";
import type { Readable } from "node:stream";
import type { VersionContent } from "../../routing/wire/deployments.ts";
import type { ApiClient } from "../client.ts";
import { CommandFailure } from "../failure.ts";
import { untilServing, type Watching } from "./follow.ts";
import { UploadProgress, type ProgressOutput } from "./upload-progress.ts";

export interface DeploymentPlan {
  readonly app: string;
  readonly environment: string;
  /** The API's request for a new version. */
  readonly request: {
    readonly content: VersionContent;
    readonly deploying_box?: string | undefined;
    readonly tag?: string | undefined;
    readonly commit?: string | undefined;
  };
  /** The code that the content names; undefined where it names none. */
  readonly code: PackedBytes | undefined;
}

export interface PackedBytes {
  readonly hash: string;
  readonly bytes: number;
  /** From the first byte. */
  open(): Readable;
}

export interface Deploying extends Watching {
  /** The version starts from now on. */
  readonly onStarted?: (version: number) => void;
  readonly progress: ProgressOutput;
}

/** Deploys; resolves with the version that serves. @throws CommandFailure that says what serves instead */
export async function deploy(plan: DeploymentPlan, deploying: Deploying): Promise<ApiVersion> {
  const { client, stopped, progress } = deploying;
  const { app, environment, request } = plan;
  const query = { environment };
  const interrupted = new AbortController();
  void stopped.then(() => interrupted.abort(new CommandFailure("stopped; nothing has changed")));
  // Somebody may have asked before; a promise's news take their turn.
  await Promise.resolve();
  interrupted.signal.throwIfAborted();
  const staged = await client.call(STAGE_VERSION, { path: { app }, query, body: request });
  const path = { app, version: staged.version };
  try {
    interrupted.signal.throwIfAborted();
    await bringCode(plan, staged, { client, progress, signal: interrupted.signal });
    interrupted.signal.throwIfAborted();
  } catch (error) {
    // A staged version that can't be abandoned now expires by itself.
    await client.call(ABANDON_VERSION, { path, query }).catch(() => undefined);
    interrupted.signal.throwIfAborted();
    throw error;
  }
  await client.call(START_VERSION, { path, query });
  deploying.onStarted?.(staged.version);
  return await untilServing({ app, environment, version: staged.version }, deploying);
}

/** Uploads the code to one box that is there, unless one has it: the others get it from that one. */
async function bringCode(
  { code }: DeploymentPlan,
  { boxes }: ApiVersion,
  {
    client,
    progress,
    signal,
  }: { client: ApiClient; progress: ProgressOutput; signal: AbortSignal },
): Promise<void> {
  const target = boxes.find((box) => box.connected);
  if (target === undefined) {
    const away = boxes.map((box) => box.name).join(", ");
    throw new CommandFailure(`none of its boxes is connected: ${away}; start postern origin there`);
  }
  if (code === undefined || boxes.some((box) => box.connected && box.has_code)) return;
  const shown = new UploadProgress(`code to ${target.name}`, code.bytes, progress);
  try {
    await client.upload(
      UPLOAD_CODE,
      { path: { box: target.name, hash: code.hash } },
      {
        bytes: code.bytes,
        content: code.open(),
        onProgress: (sent) => shown.onProgress(sent),
        signal,
      },
    );
  } catch (error) {
    shown.onFailed();
    throw error;
  }
  shown.onDone();
}

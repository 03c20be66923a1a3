/** Finds the gateway that a command means: that of `POSTERN_URL`, or the one that runs on a state directory. */

import { resolve } from "node:path";
import { CommandFailure, UsageError } from "../failure.ts";
import { readRunning } from "./state-directory.ts";

type Environment = Readonly<Record<string, string | undefined>>;

export interface NearbyGateway {
  /** The base domain as clients reach it, without a slash at the end. */
  readonly url: string;
  /** workerd's own port, where the gateway was found by its state directory. */
  readonly workerdPort?: number;
}

/** Finds the gateway; a CommandFailure when neither says where it is. */
export function findGateway(state: string, environment: Environment): NearbyGateway {
  const url = environment["POSTERN_URL"];
  if (url !== undefined && url !== "") return { url: originOf(url) };
  const running = readRunning(resolve(state));
  if (running !== undefined) return { url: running.url, workerdPort: running.workerdPort };
  throw new CommandFailure(
    `no gateway runs on ${resolve(state)}; start one with postern gateway, name its directory with ` +
      "--state, or set POSTERN_URL",
  );
}

function originOf(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !["http:", "https:"].includes(url.protocol)) {
    throw new UsageError(`POSTERN_URL: "${text}" is not an http or https URL`);
  }
  return url.origin;
}

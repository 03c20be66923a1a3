/**
 * Caddy before 2.7.6 ends a response of which the rest never came as if it were whole (caddyserver/caddy#5951). Systems
 * still install such a one, so it serves, and the operator is told.
 */
import { execFile } from "node:child_process";
import { promisify } from "node:util";

const VERSION_TIMEOUT_MS = 5_000;

/** A sentence for the operator about this Caddy; undefined where its version is new enough, or not known. */
export async function noticeOfVersion(file: string): Promise<string | undefined> {
  const asking = promisify(execFile)(file, ["version"], { timeout: VERSION_TIMEOUT_MS });
  const said = await asking.then(
    ({ stdout }) => stdout,
    () => "",
  );
  const version = /^v?(\d+\.\d+\.\d+)\b/.exec(said)?.[1];
  if (version === undefined || breaksOff(version)) return undefined;
  return (
    `caddy ${version} shows clients no difference between a response that broke off and a whole one; ` +
    "take 2.7.6 or newer (docs/self-hosting.md)"
  );
}

/** Whether a response that breaks off breaks off for the client too. */
function breaksOff(version: string): boolean {
  const [major = 0, minor = 0, patch = 0] = version.split(".").map(Number);
  return major > 2 || (major === 2 && (minor > 7 || (minor === 7 && patch >= 6)));
}

/**
 * The words of a container in the head of an app's response. `Postern-Container: drain`: it wants no more calls, finishes
 * those that it has, and is to be replaced. No client sees that line: `mayLeaveApp` keeps every name with this prefix.
 * `endpoint-load-metrics`: how busy it is (core/load-report.ts).
 */
import { useIn } from "../core/load-report.ts";

const NAME = "postern-container";
const DRAIN = "drain";

/** Also in trailers. */
export const LOAD_METRICS = "endpoint-load-metrics";

/** @param raw name, value, name, value, as they came */
export function asksToDrain(raw: readonly (string | Buffer)[]): boolean {
  for (let index = 0; index + 1 < raw.length; index += 2) {
    const name = raw[index] as string | Buffer;
    // Nearly every line differs in its length: its name is not made a text.
    if (name.length !== NAME.length || textOf(name) !== NAME) continue;
    if (textOf(raw[index + 1] as string | Buffer) === DRAIN) return true;
  }
  return false;
}

/** How busy the container says that it is, from 0 to 1. @param raw as in `asksToDrain` */
export function reportedUse(raw: readonly (string | Buffer)[]): number | undefined {
  for (let index = 0; index + 1 < raw.length; index += 2) {
    const name = raw[index] as string | Buffer;
    if (name.length !== LOAD_METRICS.length || textOf(name) !== LOAD_METRICS) continue;
    return useIn((raw[index + 1] as string | Buffer).toString("latin1"));
  }
  return undefined;
}

function textOf(raw: string | Buffer): string {
  return (typeof raw === "string" ? raw : raw.toString("latin1")).trim().toLowerCase();
}

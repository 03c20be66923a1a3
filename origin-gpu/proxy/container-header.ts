/**
 * `Postern-Container: drain` in the head of an app's response: its container wants no more calls, finishes those that
 * it has, and is to be replaced. No client sees the line: `mayLeaveApp` keeps every name with this prefix.
 */

const NAME = "postern-container";
const DRAIN = "drain";

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

function textOf(raw: string | Buffer): string {
  return (typeof raw === "string" ? raw : raw.toString("latin1")).trim().toLowerCase();
}

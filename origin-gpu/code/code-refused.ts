import { MIB } from "../../base/units.ts";
import { MAX_CODE_BYTES } from "../../routing/wire/deployments.ts";
import type { ErrorCode } from "../../routing/wire/errors.ts";

/** Code that can't be packed, taken in or unpacked. The message is one line and says what to do. */
export class CodeRefused extends Error {
  override readonly name = "CodeRefused";
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}

export function tooLarge(): CodeRefused {
  const detail = `packed code may have ${MAX_CODE_BYTES / MIB} MiB at most`;
  return new CodeRefused("body_too_large", detail);
}

export function noRoom(): CodeRefused {
  const detail = "the box has no room for more code; stop an app that it runs, then deploy again";
  return new CodeRefused("unavailable", detail);
}

export function diskFull(): CodeRefused {
  return new CodeRefused("unavailable", "the box's disk is full; make room, then deploy again");
}

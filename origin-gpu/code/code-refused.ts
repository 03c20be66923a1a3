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

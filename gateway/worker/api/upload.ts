/** The body of a request that brings bytes. */
import { ApiProblem } from "./problems.ts";

export interface ByteUpload {
  readonly bytes: number;
  readonly stream: ReadableStream<Uint8Array>;
}

/** @throws ApiProblem unless the request declares a length, and not too large a one */
export function uploadOf({ headers, body }: Request, maxBytes: number): ByteUpload {
  const declared = headers.get("content-length") ?? "";
  if (!/^\d{1,15}$/.test(declared) || body === null) {
    throw new ApiProblem("bad_request", "an upload has a body and declares its Content-Length");
  }
  const bytes = Number(declared);
  if (bytes > maxBytes) throw new ApiProblem("body_too_large", `the limit is ${maxBytes} bytes`);
  return { bytes, stream: body };
}

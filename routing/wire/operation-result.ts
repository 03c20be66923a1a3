/** The kinds of an operation's response, in either direction. */
import type * as z from "zod";

export type OperationResult =
  /** A JSON value, whole in one frame. */
  | { readonly kind: "json"; readonly schema: z.ZodType }
  | { readonly kind: "nothing" }
  /** Bytes, after a Content-Length. */
  | { readonly kind: "bytes" }
  /** Lines of JSON, of unknown length. */
  | { readonly kind: "lines" };

export const NOTHING = { kind: "nothing" } as const;

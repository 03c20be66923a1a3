/**
 * What an operation of the API is: one row that says its path, who may call it, what it takes and what
 * it answers. The row checks requests and describes itself in the OpenAPI document, so that the two
 * cannot disagree.
 */
import type { Context, Hono } from "hono";
import { bodyLimit } from "hono/body-limit";
import * as z from "zod";
import type { Env } from "../../contracts/env.ts";
import type { Scope } from "../../contracts/scopes.ts";
import { type Caller, callerOf } from "./caller.ts";
import { ApiProblem, invalid } from "./problems.ts";

export type Method = "get" | "post" | "put" | "patch" | "delete";

/** A schema and its name among the components of the OpenAPI document. */
export interface NamedSchema<Schema extends z.ZodType = z.ZodType> {
  readonly name: string;
  readonly schema: Schema;
}

/** What a handler gets: everything checked. */
export interface Call<Query, Body> {
  readonly env: Env;
  readonly caller: Caller;
  /** The path's parameters, decoded. */
  readonly path: Readonly<Record<string, string>>;
  readonly query: Query;
  readonly body: Body;
  /** Its body is unread where the row takes bytes. */
  readonly request: Request;
}

/** The body of a request that brings bytes. */
export interface Upload {
  readonly bytes: number;
  readonly stream: ReadableStream<Uint8Array>;
}

export interface Operation<
  Query extends z.ZodObject = z.ZodObject,
  Body extends z.ZodType = z.ZodType,
  Answer extends z.ZodType = z.ZodType,
> {
  readonly id: string;
  readonly method: Method;
  /** Below the API's base path, with parameters as `{id}`. */
  readonly path: string;
  readonly tag: string;
  readonly summary: string;
  /** A call that changes something says here whether it may be repeated. */
  readonly description?: string;
  readonly needs: Scope;
  readonly query?: Query;
  readonly body?: NamedSchema<Body>;
  /** Takes bytes instead; `run` reads them by `uploadOf`, whatever the limit of other requests. */
  readonly takesBytes?: true;
  /** Absent: 204. */
  readonly answer?: NamedSchema<Answer> & { readonly status: 200 | 201 };
  // A method, so that rows of different types fit one list.
  run(call: Call<z.output<Query>, z.output<Body>>): Promise<z.input<Answer>>;
}

/** Gives a row its types. */
export function operation<
  Query extends z.ZodObject = z.ZodObject,
  Body extends z.ZodType = z.ZodType,
  Answer extends z.ZodType = z.ZodType<void>,
>(row: Operation<Query, Body, Answer>): Operation {
  return row;
}

/** No request of the API is anywhere near this size, but those that bring bytes. */
const MAX_BODY_BYTES = 256 * 1024;

const limited = bodyLimit({
  maxSize: MAX_BODY_BYTES,
  onError: () => {
    throw new ApiProblem("body_too_large", `the limit is ${MAX_BODY_BYTES} bytes`);
  },
});

/** Puts the operations into a router: first who calls, then what is asked, then the work. */
export function mount(router: Hono<{ Bindings: Env }>, operations: readonly Operation[]): void {
  for (const row of operations) {
    const method = row.method.toUpperCase();
    const path = row.path.replace(/\{(\w+)\}/g, ":$1");
    if (row.takesBytes === undefined) router.on(method, path, limited);
    router.on(method, path, async (context) => {
      const { env, req } = context;
      const caller = await callerOf(req.raw.headers, env, row.needs);
      const query = checked("query", row.query ?? NO_QUERY, queryOf(context));
      const body = row.body === undefined ? undefined : await bodyOf(context, row.body.schema);
      const { raw: request } = req;
      const answer = await row.run({ env, caller, path: req.param(), query, body, request });
      if (row.answer === undefined) return context.body(null, 204);
      return context.json(answer as object, row.answer.status);
    });
  }
}

const NO_QUERY = z.strictObject({});

async function bodyOf(context: Context, schema: z.ZodType): Promise<unknown> {
  let value: unknown;
  try {
    value = await context.req.json();
  } catch (error) {
    if (error instanceof ApiProblem) throw error;
    throw new ApiProblem("bad_request", "the body is not JSON");
  }
  return checked("body", schema, value);
}

/** @throws ApiProblem unless the request declares a length, and not too large a one */
export function uploadOf({ headers, body }: Request, maxBytes: number): Upload {
  const declared = headers.get("content-length") ?? "";
  if (!/^\d{1,15}$/.test(declared) || body === null) {
    throw new ApiProblem("bad_request", "an upload has a body and declares its Content-Length");
  }
  const bytes = Number(declared);
  if (bytes > maxBytes) throw new ApiProblem("body_too_large", `the limit is ${maxBytes} bytes`);
  return { bytes, stream: body };
}

/** Each parameter once, or as the list that no schema takes. */
function queryOf(context: Context): Record<string, string | string[]> {
  const given = Object.entries(context.req.queries());
  return Object.fromEntries(
    given.map(([name, values]) => [name, values.length === 1 ? (values[0] ?? "") : values]),
  );
}

function checked<Schema extends z.ZodType>(
  where: string,
  schema: Schema,
  value: unknown,
): z.output<Schema> {
  const result = schema.safeParse(value, { reportInput: true });
  if (!result.success) throw invalid(where, result.error);
  return result.data;
}

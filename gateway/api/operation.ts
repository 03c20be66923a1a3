/**
 * What an operation of the API is: one row that says its path, who may call it, what it takes and what
 * it answers. The row checks requests and describes itself in the OpenAPI document, so that the two
 * cannot disagree.
 */
import type { Context, Hono } from "hono";
import * as z from "zod";
import type { Env } from "../env.ts";
import type { Scope } from "../workspace/scopes.ts";
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

/** Puts the operations into a router: first who calls, then what is asked, then the work. */
export function mount(router: Hono<{ Bindings: Env }>, operations: readonly Operation[]): void {
  for (const row of operations) {
    router.on(row.method.toUpperCase(), row.path.replace(/\{(\w+)\}/g, ":$1"), async (context) => {
      const { env, req } = context;
      const caller = await callerOf(req.raw.headers, env, row.needs);
      const query = checked("query", row.query ?? NO_QUERY, queryOf(context));
      const body = row.body === undefined ? undefined : await bodyOf(context, row.body.schema);
      const answer = await row.run({ env, caller, path: req.param(), query, body });
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
  const result = schema.safeParse(value);
  if (!result.success) throw invalid(where, result.error);
  return result.data;
}

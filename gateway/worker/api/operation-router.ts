/**
 * Binds a handler to each operation of the API, a row of api/, and puts the handlers into a router. A handler gets
 * what the row's schemas have checked, and returns what the row's response describes.
 */
import type { Context, Hono } from "hono";
import * as z from "zod";
import { type ApiOperation, NO_QUERY, type PathParameters } from "../../../api/operation.ts";
import { discardBody, type ResponseBody } from "../../contracts/attempt.ts";
import type { Env } from "../../contracts/env.ts";
import {
  BODY_TIMEOUT_MS,
  type BodyProblem,
  BodyReader,
  MAX_HELD_BYTES,
} from "../edge/body-reader.ts";
import { audited } from "./audit-entry.ts";
import { type Caller, callerOf } from "./caller.ts";
import { ApiProblem, invalid } from "./problems.ts";

/** A request to an operation, with everything checked. */
export interface ApiRequest<Path, Query, Body> {
  readonly env: Env;
  readonly caller: Caller;
  /** The path's parameters, decoded. */
  readonly path: { readonly [Name in keyof PathParameters<Path & string>]: string };
  readonly query: Query;
  readonly body: Body;
  /** Its body is unread where the operation takes bytes. */
  readonly request: Request;
}

/** An operation and what the gateway does for it. */
export interface ApiHandler {
  readonly operation: ApiOperation;
  /** A method, so that handlers of different types fit one list: `mount` has checked what it is given. */
  run(this: void, request: ApiRequest<string, unknown, unknown>): Promise<unknown>;
}

/** Binds a handler to its operation. */
export function handle<
  Path extends string,
  Query extends z.ZodObject,
  Body extends z.ZodType,
  Response extends z.ZodType,
>(
  operation: ApiOperation<Path, Query, Body, Response>,
  run: (request: ApiRequest<Path, z.output<Query>, z.output<Body>>) => Promise<z.input<Response>>,
): ApiHandler {
  return { operation, run };
}

/** Binds a handler to an operation that answers with lines. The handler gives their bytes. */
export function handleLines<
  Path extends string,
  Query extends z.ZodObject,
  Body extends z.ZodType,
  Line extends z.ZodType,
>(
  operation: ApiOperation<Path, Query, Body, z.ZodType<void>, Line>,
  run: (request: ApiRequest<Path, z.output<Query>, z.output<Body>>) => Promise<ResponseBody>,
): ApiHandler {
  return { operation, run };
}

/** No request of the API is anywhere near this size, but those that bring bytes. */
const MAX_BODY_BYTES = 256 * 1024;

/** Puts the handlers into a router: first who calls, by the headers alone, then what is asked, then the work. */
export function mount(
  router: Hono<{ Bindings: Env }>,
  handlers: readonly ApiHandler[],
  bodies = new BodyReader(),
): void {
  for (const { operation, run } of handlers) {
    const method = operation.method.toUpperCase();
    const path = operation.path.replace(/\{(\w+)\}/g, ":$1");
    router.on(method, path, async (context) => {
      const { env, req } = context;
      const { raw: request } = req;
      const caller = await callerOf(request.headers, env, operation.needs);
      const query = checked("query", operation.query ?? NO_QUERY, queryOf(context));
      const body =
        operation.body === undefined
          ? undefined
          : await bodyOf(request, caller, operation.body.schema, bodies);
      const asked = { env, caller, path: req.param(), query, body, request };
      const document = await audited(operation, asked, async () => await run(asked));
      if (operation.lines !== undefined) return linesResponse(request, document as ResponseBody);
      if (operation.response === undefined) return context.body(null, 204);
      return context.json(document as object, operation.response.status);
    });
  }
}

async function linesResponse(request: Request, lines: ResponseBody): Promise<Response> {
  const headers = { "content-type": "application/x-ndjson" };
  if (request.method !== "HEAD") return new Response(lines, { headers });
  await discardBody(lines);
  return new Response(null, { headers });
}

async function bodyOf(
  request: Request,
  { workspace }: Caller,
  schema: z.ZodType,
  bodies: BodyReader,
): Promise<unknown> {
  const text = await bodies.read(request, workspace, MAX_BODY_BYTES);
  if (!text.ok) throw problemOf(text.error);
  let value: unknown;
  try {
    value = JSON.parse(text.value);
  } catch {
    throw new ApiProblem("bad_request", "the body is not JSON");
  }
  return checked("body", schema, value);
}

function problemOf(problem: BodyProblem): ApiProblem {
  switch (problem) {
    case "too_large":
      return new ApiProblem("body_too_large", `the limit is ${MAX_BODY_BYTES} bytes`);
    case "too_slow":
      return new ApiProblem(
        "body_timeout",
        `it was not whole after ${BODY_TIMEOUT_MS / 1_000} s, which is the limit`,
      );
    case "too_many":
      return new ApiProblem(
        "rate_limited",
        `the workspace's unfinished requests have ${MAX_HELD_BYTES} bytes already, which is the limit`,
      );
    case "broken":
      return new ApiProblem("bad_request", "the body broke off");
  }
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

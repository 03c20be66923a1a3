/**
 * The form of an operation of the HTTP API: one row has its path, the scope that it needs, and what it takes and
 * responds. The gateway checks requests by the row and describes it in the OpenAPI document; the command's client
 * takes its types from the row and checks responses by it. So the three cannot disagree.
 *
 * The rows hold no code: gateway/worker/api binds a handler to each.
 */
import * as z from "zod";
import type { Scope } from "./scopes.ts";

export type ApiMethod = "get" | "post" | "put" | "patch" | "delete";

/** A schema and its name among the components of the OpenAPI document. */
export interface NamedSchema<Schema extends z.ZodType = z.ZodType> {
  readonly name: string;
  readonly schema: Schema;
}

export interface ApiOperation<
  Path extends string = string,
  Query extends z.ZodObject = z.ZodObject,
  Body extends z.ZodType = z.ZodType,
  Response extends z.ZodType = z.ZodType,
  Line extends z.ZodType = z.ZodType,
> {
  readonly id: string;
  readonly method: ApiMethod;
  /** Below the API's base path, with parameters as `{id}`. */
  readonly path: Path;
  readonly tag: string;
  readonly summary: string;
  /** An operation that changes something says here whether it may be repeated. */
  readonly description?: string;
  readonly needs: Scope;
  readonly query?: Query;
  readonly body?: NamedSchema<Body>;
  /** Takes bytes instead of JSON, whatever the limit of other requests. */
  readonly takesBytes?: true;
  /** Answers with lines of JSON of this schema, as they come, instead of a document. */
  readonly lines?: NamedSchema<Line>;
  /** Absent, and no lines: 204. */
  readonly response?: NamedSchema<Response> & { readonly status: 200 | 201 };
}

/** The parameters of a path, by name: those of `/apps/{app}` are `{ app: … }`. */
export type PathParameters<Path extends string> =
  Path extends `${string}{${infer Name}}${infer Rest}`
    ? { readonly [Key in Name]: string | number } & PathParameters<Rest>
    : unknown;

/** The query of an operation that takes none. */
export const NO_QUERY = z.strictObject({});

/** Gives a row its types. */
export function apiOperation<
  const Path extends string,
  Query extends z.ZodObject = typeof NO_QUERY,
  Body extends z.ZodType = z.ZodType<undefined>,
  Response extends z.ZodType = z.ZodType<void>,
  Line extends z.ZodType = z.ZodType<void>,
>(
  row: ApiOperation<Path, Query, Body, Response, Line>,
): ApiOperation<Path, Query, Body, Response, Line> {
  return row;
}

/** Lists of requests that Postern itself makes to a container: `warmup`, `sleep` and `wake`. */
import * as z from "zod";
import { either, list, path, table, tableOf, text } from "../values.ts";
import { headerName } from "./key.ts";

/** The keys of a request that name its method; exactly one of them has the path. */
export const REQUEST_METHODS = { get: "GET", post: "POST", put: "PUT" } as const;

type MethodKey = keyof typeof REQUEST_METHODS;

const METHOD_KEYS = Object.keys(REQUEST_METHODS) as MethodKey[];

const request = () =>
  table({
    get: path().optional(),
    post: path().optional(),
    put: path().optional(),
    body: either(
      [z.string(), z.record(z.string(), z.unknown())],
      "must be text, or a table that is sent as JSON",
    ).optional(),
    headers: tableOf(
      headerName(),
      text(/^[\t -~\u0080-\u00ff]*$/, "must be the value of an HTTP header"),
      'must be a table of header names and values, such as { Authorization = "Bearer x" }',
    ).optional(),
  })
    .refine((one) => METHOD_KEYS.filter((key) => one[key] !== undefined).length === 1, {
      error: 'must have exactly one of get, post and put, such as { post = "/warm" }',
    })
    .refine(({ get, body }) => get === undefined || body === undefined, {
      error: "must not be sent by get; use post or put",
      path: ["body"],
    });

export type RequestTable = z.output<ReturnType<typeof request>>;

/** @param example as the file spells it */
export const requests = (example: string) =>
  list(request(), `must be a list of requests, such as ${example}`);

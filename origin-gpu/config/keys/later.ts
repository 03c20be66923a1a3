/** The keys that have their place and no effect yet. They are refused, so that nobody counts on them. */
import * as z from "zod";
import {
  boolean,
  either,
  httpUrl,
  integer,
  list,
  number,
  oneOf,
  path,
  seconds,
  table,
  tableOf,
  text,
} from "../values.ts";
import { later, onlyDefault, nonEmptyText, headerName, MOST_CONCURRENT_INPUTS } from "./key.ts";

/** A kind of GPU and how many of it. */
const GPU_KIND = /^[A-Za-z0-9._-]+(:[1-9]\d?)?$/;

const gpuKind = () => text(GPU_KIND, 'must be a kind of GPU and how many of it, such as "H100:2"');

const rate = () =>
  text(
    /^\d+(\.\d+)?\/\d+(\.\d+)?$/,
    'must be "N/S", requests a second and seconds of burst, such as "50/5"',
  );

const AFFINITY = 'must be "none", "cookie", "header:NAME", "query:NAME", "client-ip" or "gradio"';

const affinity = () =>
  text(/^(none|cookie|client-ip|gradio|header:[!#$%&'*+.^_`|~0-9A-Za-z-]+|query:.+)$/, AFFINITY);

const MOST_CONTAINERS = 10_000;

export const LATER_KEYS = {
  method: later(oneOf(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]), {
    meaning: "The method of a `callable`.",
    example: '"POST"',
  }),
  docs: later(boolean(), {
    meaning: "Whether a `callable` has a page that documents it.",
    example: "true",
  }),
  custom_domains: later(
    list(
      text(/^(\*\.)?([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z0-9-]+$/i, "must be a domain name"),
      'must be a list of domain names, such as ["api.example.com", "*.example.net"]',
    ),
    { meaning: "Domains of your own.", example: '["api.example.com"]' },
  ),
  target_inputs: later(integer(1, MOST_CONCURRENT_INPUTS), {
    meaning: "Requests a container that the autoscaler aims at.",
    example: "4",
  }),
  min_containers: onlyDefault(integer(0, MOST_CONTAINERS), 0, {
    meaning: "Containers that are there at least.",
    example: "0",
  }),
  max_containers: onlyDefault(integer(1, MOST_CONTAINERS), 1, {
    meaning: "Containers that are there at most.",
    example: "1",
  }),
  buffer_containers: onlyDefault(integer(0, MOST_CONTAINERS), 0, {
    meaning: "Containers that are there besides those in use.",
    example: "0",
  }),
  scaledown_window: later(seconds(2, 1_200), {
    meaning: "Time without a request until a container stops.",
    example: "60",
  }),
  gpus: onlyDefault(
    either(
      [
        integer(0, 64),
        gpuKind(),
        list(gpuKind(), "must be a list of kinds in order of preference"),
      ],
      'must be a number from 0 to 64, a kind such as "H100:2", or a list of kinds in order of preference',
    ),
    0,
    { meaning: "GPUs of each container.", example: "0" },
  ),
  health_interval: later(seconds(1, 3_600), {
    meaning: "Time between two questions at `health_path`.",
    example: "10",
  }),
  retries: onlyDefault(
    either(
      [
        integer(0, 10),
        table({
          max_retries: integer(0, 10),
          initial_delay: seconds(0, 60).optional(),
          backoff_coefficient: number(1, 10).optional(),
          max_delay: seconds(1, 60).optional(),
        }),
      ],
      "must be a number from 0 to 10, or { max_retries = 3, initial_delay = 1.0, backoff_coefficient = 2.0, max_delay = 60.0 }",
    ),
    0,
    { meaning: "How often a call whose container died is run again.", example: "0" },
  ),
  auth: later(
    table({
      jwt: table({
        issuer: nonEmptyText("must be the issuer's name"),
        audience: nonEmptyText("must be the audience's name"),
        jwks_url: httpUrl(),
      }),
    }),
    {
      meaning: "Tokens of somebody else that open the endpoint.",
      example:
        '{ jwt = { issuer = "https://example.com", audience = "chat", jwks_url = "https://example.com/jwks" } }',
    },
  ),
  affinity: onlyDefault(
    either(
      [affinity(), list(affinity(), `${AFFINITY}, or a list of them`)],
      `${AFFINITY}, or a list of them`,
    ),
    "none",
    { meaning: "How the requests of one client stay on one container.", example: '"none"' },
  ),
  affinity_mode: onlyDefault(oneOf(["soft", "hard"]), "soft", {
    meaning: "Where a client goes whose container is gone.",
    example: '"soft"',
  }),
  batch: later(table({ max_batch_size: integer(1, 10_000), wait_ms: integer(0, 60_000) }), {
    meaning: "Requests that an app is given together.",
    example: "{ max_batch_size = 16, wait_ms = 20 }",
  }),
  parameters: later(
    tableOf(
      text(/^[A-Za-z_][A-Za-z0-9_]*$/, "must be named with ASCII letters, digits and underscores"),
      table({
        type: oneOf(["str", "int", "float", "bool"]),
        default: either([z.string(), z.number(), z.boolean()], "must be a value").optional(),
      }),
      'must be a table, such as { root = { type = "str", default = "." } }',
    ),
    {
      meaning: "Query parameters that select containers of their own.",
      example: '{ root = { type = "str" } }',
    },
  ),
  probe_paths: later(list(path(), 'must be a list of paths, such as ["/favicon.ico"]'), {
    meaning: "Paths that are answered while nothing runs.",
    example: '["/favicon.ico"]',
  }),
  fallback: later(
    table({
      url: httpUrl(),
      headers: tableOf(
        headerName(),
        z.string(),
        "must be a table of header names and values",
      ).optional(),
    }),
    {
      meaning: "A URL that takes over when no box has room.",
      example: '{ url = "https://example.com" }',
    },
  ),
  rate_limit: later(rate(), {
    meaning: "Requests a second, and seconds of burst.",
    example: '"50/5"',
  }),
};

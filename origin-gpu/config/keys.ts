/**
 * Every key of postern.toml as one table: its type with its range, and whether it has its effect yet.
 * What is not yet due is refused, never ignored; work that brings a key to life flips its row here and
 * gives it a field in app-config.ts.
 */
import * as z from "zod";

import { RESERVED_VARIABLES, VARIABLE_NAME } from "../../routing/wire/variables.ts";
import {
  boolean,
  either,
  httpUrl,
  integer,
  listOf,
  name,
  functionName,
  nameInUrl,
  number,
  oneOf,
  originUrl,
  path,
  seconds,
  table,
  tableOf,
  text,
} from "./values.ts";

/**
 * `yes`: it has its effect. `default`: only its default has it, so that writing the default down is no
 * mistake. `no`: refused whatever it says.
 */
type Supported = "yes" | "default" | "no";

interface Key<Schema extends z.ZodType> {
  readonly schema: Schema;
  readonly supported: Supported;
  /** The value that is accepted where `supported` is `default`. */
  readonly defaultValue?: unknown;
}

function yes<Schema extends z.ZodType>(schema: Schema): Key<Schema> {
  return { schema, supported: "yes" };
}
function no<Schema extends z.ZodType>(schema: Schema): Key<Schema> {
  return { schema, supported: "no" };
}
function onlyDefault<Schema extends z.ZodType>(
  schema: Schema,
  defaultValue: z.output<Schema>,
): Key<Schema> {
  return { schema, supported: "default", defaultValue };
}

/** Signals that ask a process to end; SIGKILL follows by itself after the grace period. */
const STOP_SIGNALS = [
  "SIGTERM",
  "SIGINT",
  "SIGQUIT",
  "SIGHUP",
  "SIGUSR1",
  "SIGUSR2",
  "SIGKILL",
] as const;

const DAY_S = 86_400;
const MOST_CONCURRENT_INPUTS = 100_000;
const MOST_CONTAINERS = 10_000;

const target = () =>
  text(
    /^(?!.*\.py:)[^\s:/]+:[^\s:/]+$/,
    'must name a module and an attribute of it, such as "server:app"; a file is named without ".py"',
  );
const nonEmptyText = (error: string) => text(/^[^\0]*[^\s\0][^\0]*$/, error);
/** A line of a requirements file, options such as --index-url included, that leads to no other file. */
const REQUIREMENT =
  /^(?!\s*(?:-[rce]|--(?:requirement|constraint|editable)\b|\.{0,2}\/))[^\0\r\n]*[^\s\0][^\0\r\n]*$/;
/** A kind of GPU and how many of it. */
const GPU_KIND = /^[A-Za-z0-9._-]+(:[1-9]\d?)?$/;
const gpuKind = () => text(GPU_KIND, 'must be a kind of GPU and how many of it, such as "H100:2"');
const headerName = () => text(/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/, "must be an HTTP header name");
const rate = () =>
  text(
    /^\d+(\.\d+)?\/\d+(\.\d+)?$/,
    'must be "N/S", requests a second and seconds of burst, such as "50/5"',
  );
const AFFINITY = 'must be "none", "cookie", "header:NAME", "query:NAME", "client-ip" or "gradio"';
const affinity = () =>
  text(/^(none|cookie|client-ip|gradio|header:[!#$%&'*+.^_`|~0-9A-Za-z-]+|query:.+)$/, AFFINITY);

export const APP_KEYS = {
  workspace: yes(nameInUrl()),
  environment: yes(nameInUrl()),
  app: yes(nameInUrl()),
};

export const ENDPOINT_KEYS = {
  function: yes(functionName()),

  asgi: yes(target()),
  wsgi: no(target()),
  callable: no(target()),
  web_server: yes(
    listOf(
      text(/^[^\0]*$/, "must be text"),
      'must be a command as a list of text, such as ["server", "--port", "$PORT"]',
    ).refine((command) => command[0]?.trim() !== "", {
      error: "must begin with a program's name or path",
    }),
  ),
  module: no(nonEmptyText('must be a file, such as "app.ts"')),
  upstream: yes(originUrl()),
  containers_of: yes(functionName()),

  port: yes(integer(1, 65_535)),
  method: no(oneOf(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])),
  docs: no(boolean()),

  label: yes(
    text(
      /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/,
      "must be 1 to 63 lower-case letters, digits and dashes, no dash at either end",
    ),
  ),
  custom_domains: no(
    listOf(
      text(/^(\*\.)?([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z0-9-]+$/i, "must be a domain name"),
      'must be a list of domain names, such as ["api.example.com", "*.example.net"]',
    ),
  ),
  requires_proxy_auth: yes(boolean()),

  python: yes(nonEmptyText('must be the path of a Python interpreter, such as ".venv/bin/python"')),
  requirements: yes(
    listOf(
      text(
        REQUIREMENT,
        'must be one line that stands by itself, such as "fastapi>=0.115"; the environment knows no files of the app',
      ),
      'must be a list of requirements, such as ["fastapi", "uvicorn"]',
    ),
  ),
  directory: yes(nonEmptyText("must be the path of a directory")),
  env: yes(
    tableOf(
      text(VARIABLE_NAME, "must be named with ASCII letters, digits and underscores")
        // A rule of its own, so that the sentence is its own.
        .refine((key) => !RESERVED_VARIABLES.has(key), {
          error: "is given to the container by Postern and can't be overridden",
        }),
      text(/^[^\0]*$/, 'must be text: write "1" for 1'),
      'must be a table of text, such as { MODEL = "small" }',
    ),
  ),
  secrets: yes(listOf(name(), 'must be a list of names of secrets, such as ["huggingface"]')),
  boxes: yes(
    listOf(
      text(/^[A-Za-z0-9._*?-]{1,64}$/, "must be a box's name, * and ? stand for others"),
      'must be a list of box names, such as ["gpu-*"]',
    ),
  ),
  region: yes(listOf(name(), 'must be a list of regions, such as ["eu"]')),

  max_inputs: yes(integer(1, MOST_CONCURRENT_INPUTS)),
  target_inputs: no(integer(1, MOST_CONCURRENT_INPUTS)),
  min_containers: onlyDefault(integer(0, MOST_CONTAINERS), 0),
  max_containers: onlyDefault(integer(1, MOST_CONTAINERS), 1),
  buffer_containers: onlyDefault(integer(0, MOST_CONTAINERS), 0),
  scaledown_window: no(seconds(2, 1_200)),
  max_pending: yes(integer(0, 1_000_000)),
  max_pending_async: yes(integer(0, 10_000_000)),
  gpus: onlyDefault(
    either(
      [
        integer(0, 64),
        gpuKind(),
        listOf(gpuKind(), "must be a list of kinds in order of preference"),
      ],
      'must be a number from 0 to 64, a kind such as "H100:2", or a list of kinds in order of preference',
    ),
    0,
  ),
  startup_timeout: yes(seconds(1, DAY_S)),
  timeout: yes(seconds(1, DAY_S)),
  max_duration: yes(seconds(1, 7 * DAY_S)),
  exit_grace_period: yes(seconds(0, 3_600)),
  stop_signal: yes(oneOf(STOP_SIGNALS)),
  health_path: yes(path()),
  health_interval: no(seconds(1, 3_600)),
  on_disconnect: yes(
    either(
      [z.enum(["cancel", "keep"]), seconds(0, DAY_S)],
      `must be "cancel", "keep" or a number of grace seconds from 0 to ${DAY_S}`,
    ),
  ),
  result_ttl: yes(seconds(1, 7 * DAY_S)),
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
  ),
  cors: yes(
    either(
      [
        z.boolean(),
        table({
          origins: listOf(
            text(
              /^(\*|null|[a-z][a-z0-9+.-]*:\/\/[^/?#@\s]+)$/i,
              'must be an origin: scheme and host, such as "https://example.com", and no path',
            ),
            'must be a list of origins, such as ["https://example.com"]',
          ),
          headers: z.array(headerName(), { error: "must be a list of header names" }).optional(),
          credentials: boolean().optional(),
        }),
      ],
      'must be true, false or { origins = ["https://example.com"], headers = [], credentials = true }',
    ),
  ),
  auth: no(
    table({
      jwt: table({
        issuer: nonEmptyText("must be the issuer's name"),
        audience: nonEmptyText("must be the audience's name"),
        jwks_url: httpUrl(),
      }),
    }),
  ),
  affinity: onlyDefault(
    either(
      [affinity(), listOf(affinity(), `${AFFINITY}, or a list of them`)],
      `${AFFINITY}, or a list of them`,
    ),
    "none",
  ),
  affinity_mode: onlyDefault(oneOf(["soft", "hard"]), "soft"),
  batch: no(table({ max_batch_size: integer(1, 10_000), wait_ms: integer(0, 60_000) })),
  parameters: no(
    tableOf(
      text(/^[A-Za-z_][A-Za-z0-9_]*$/, "must be named with ASCII letters, digits and underscores"),
      table({
        type: oneOf(["str", "int", "float", "bool"]),
        default: either([z.string(), z.number(), z.boolean()], "must be a value").optional(),
      }),
      'must be a table, such as { root = { type = "str", default = "." } }',
    ),
  ),
  probe_paths: no(listOf(path(), 'must be a list of paths, such as ["/favicon.ico"]')),
  fallback: no(
    table({
      url: httpUrl(),
      headers: tableOf(
        headerName(),
        z.string(),
        "must be a table of header names and values",
      ).optional(),
    }),
  ),
  rate_limit: no(rate()),
};

/** Exactly one of these says what serves the endpoint. */
export const KIND_KEYS = [
  "asgi",
  "wsgi",
  "callable",
  "web_server",
  "module",
  "upstream",
  "containers_of",
] as const satisfies readonly (keyof typeof ENDPOINT_KEYS)[];

type Values<Keys extends Record<string, Key<z.ZodType>>> = {
  readonly [Name in keyof Keys]?: z.output<Keys[Name]["schema"]>;
};

/** The keys of an `[[endpoint]]` that stand there and have the right type. */
export type EndpointTable = Values<typeof ENDPOINT_KEYS>;
/** The keys before the first `[[endpoint]]`, likewise. */
export type AppTable = Values<typeof APP_KEYS>;
export type KeyTable = Readonly<Record<string, Key<z.ZodType>>>;

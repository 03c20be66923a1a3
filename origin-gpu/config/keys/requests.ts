/** The keys of the requests that an endpoint gets. */
import * as z from "zod";
import { AFFINITY_WORD, MAX_AFFINITY_WORDS } from "../../../routing/affinity/rules.ts";
import { isFallbackUrl } from "../../../routing/wire/fallback.ts";
import { MAX_WEBSOCKET_MESSAGE_BYTES } from "../../../routing/wire/limits.ts";
import { isRate } from "../../../routing/wire/rate.ts";
import {
  boolean,
  either,
  integer,
  list,
  name,
  number,
  oneOf,
  path,
  seconds,
  table,
  tableOf,
  text,
} from "../values.ts";
import { APP_KINDS } from "../presets.ts";
import { parameters } from "./parameters.ts";
import { key, headerName, DAY_S, MOST_CONCURRENT_INPUTS } from "./key.ts";

const AFFINITY =
  'must be "none", "cookie", "header:NAME", "query:NAME", "client-ip", "learned:header:NAME", ' +
  '"learned:cookie:NAME", "learned:json:NAME", "gradio", "mcp", "socket.io", "streamlit", "jupyter", "llm"';

const FALLBACK_URL =
  'must be an https URL with a public name and without a query, such as "https://api.example.com"';

const REQUEST_TIMEOUT = `a number of seconds from 0.001 to ${DAY_S}, or false`;

const RATE = 'must be "N/S", requests a second and seconds of burst, such as "50/5"';

const affinity = () => text(AFFINITY_WORD, `${AFFINITY} or a list of them`);

export const REQUEST_KEYS = {
  app_kind: key(oneOf(APP_KINDS), {
    default: "none",
    meaning:
      "The kind of the app, which sets `health_path`, `host_header`, `affinity`, `max_inputs`, `api` and `paths` as that kind needs them ([apps.md](apps.md#presets)). A key of the endpoint wins. `postern config explain` shows all settings as they hold.",
    example: '"ollama"',
  }),
  max_inputs: key(integer(1, MOST_CONCURRENT_INPUTS), {
    default: "`1`; with `batch` its `max_batch_size`",
    meaning:
      "Requests and WebSockets that a container is given at the same time. Others wait. A page with a WebSocket needs more than 1, and most web apps bear 100.",
    example: "100",
  }),
  timeout: key(seconds(1, DAY_S), {
    default: "`300`",
    meaning:
      "Time from the last byte of the request that came to the app's response headers; then 504 `call_timeout`. A client that sends no more of its body for that time gets 502 `upload_interrupted`. A response that has begun is never cut by it.",
    example: "900",
  }),
  request_timeout: key(
    either([z.literal(false), seconds(0.001, DAY_S)], `must be ${REQUEST_TIMEOUT}`),
    {
      default: "the gateway's, 150",
      meaning:
        "Time that a client waits for the app's response headers, from the last byte of its request. Then it is sent to a result URL ([calls.md](calls.md)). `false`: its request is held until `timeout`. `Prefer: wait=N` of a request wins, and clients that are known to follow no redirect are held.",
      example: "false",
    },
  ),
  life_signs: key(boolean(), {
    default: "`false`",
    meaning:
      "A request that asks for a stream of events, and has waited for two seconds, gets its 200 and a comment every few seconds until the app's own events begin. An error of the app then ends the stream as an event ([calls.md](calls.md#signs-of-life)).",
    example: "true",
  }),
  api: key(oneOf(["openai"]), {
    default: "none",
    meaning:
      "The API of the app. With `\"openai\"` the JSON of Postern's own errors has the `error` member too that OpenAI's SDKs show ([errors.md](errors.md#openai)).",
    example: '"openai"',
  }),
  max_duration: key(seconds(1, 7 * DAY_S), {
    default: "`86400`",
    meaning:
      "Time that a request's body, a response's body or a WebSocket may last. Then an upload gets 502 `upload_interrupted`, a client sees its response cut, and a WebSocket is closed with 1001.",
    example: "3600",
  }),
  websocket_max_message: key(integer(1, MAX_WEBSOCKET_MESSAGE_BYTES), {
    default: "`33554432`",
    meaning:
      "Bytes of a WebSocket message, from the client or from the app. A larger one closes both ends with 1009. The default, 32 MiB, is the most that the platform lets through.",
    example: "1048576",
  }),
  max_pending: key(integer(0, 1_000_000), {
    default: "`2000`",
    meaning: "Requests that may wait for a container; the next one gets 429 `queue_full`.",
    example: "2000",
  }),
  host_header: key(
    text(
      /^[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?(:[1-9]\d{0,4})?$/,
      'must be "public", "local" or a host name, such as "app.example.com"',
    ),
    {
      default: '`"public"`',
      meaning:
        "The `Host` that the app sees: the public one, `localhost` with the app's port for `\"local\"`, or this name. An `Origin` that is the public one follows, and the app's redirects to that host lead back. [Which apps need it](apps.md#host).",
      example: '"local"',
    },
  ),
  rate_limit: key(z.string({ error: RATE }).refine(isRate, { error: RATE }), {
    default: "none",
    meaning:
      "Requests a second that this endpoint takes, and the seconds whose requests may come at once. More get 429 `rate_limited`, before authorization. The gateway's `--rate-limit` holds besides ([limits](limits.md#rate-limits)).",
    example: '"50/5"',
  }),
  probe_paths: key(list(path(), 'must be a list of paths, such as ["/favicon.ico"]'), {
    default: "none",
    meaning:
      "Paths of health checkers and browsers' icons. While no container is ready the box answers GET and HEAD there with 204, and starts none. A `*` at the end of a path stands for the rest.",
    example: '["/favicon.ico", "/health"]',
  }),
  fallback: key(
    table({
      url: z.string({ error: FALLBACK_URL }).refine(isFallbackUrl, { error: FALLBACK_URL }),
      headers: tableOf(
        headerName(),
        z.string(),
        "must be a table of header names and values",
      ).optional(),
      secrets: list(name(), "must be a list of names of secrets").optional(),
      models: tableOf(
        z.string(),
        z.string(),
        'must be a table of model names, such as { "my-model" = "their-model" }',
      ).optional(),
    }),
    {
      default: "none",
      meaning:
        "A server elsewhere that answers where no box takes a request. Its response has the header `Postern-Fallback`. `headers` are added, with `$NAME` for variables of `secrets`, and `models` renames the `model` of a JSON body. [Several boxes](balancing.md#fallback) has the rules.",
      example:
        '{ url = "https://api.example.com", headers = { authorization = "Bearer $API_KEY" }, secrets = ["example"] }',
    },
  ),
  max_pending_async: key(integer(0, 10_000_000), {
    default: "`1000000`",
    meaning:
      "Requests with `Prefer: respond-async` that may wait for a container. They are counted apart.",
    example: "1000000",
  }),
  on_disconnect: key(
    either(
      [z.enum(["cancel", "keep"]), seconds(0, DAY_S)],
      `must be "cancel", "keep" or a number of grace seconds from 0 to ${DAY_S}`,
    ),
    {
      default: '`"cancel"`',
      meaning:
        'The fate of a call whose client leaves before it was redirected: `"cancel"` tells the app within a second, `"keep"` lets it finish, a number does so for that time.',
      example: '"keep"',
    },
  ),
  retries: key(
    either(
      [
        integer(0, 10),
        table({
          max_retries: integer(0, 10),
          initial_delay: seconds(0, 60).optional(),
          backoff_coefficient: number(1, 10).optional(),
          max_delay: seconds(1, 60).optional(),
        }).refine(({ initial_delay = 1, max_delay = 60 }) => initial_delay <= max_delay, {
          error: "must not be more than max_delay",
          path: ["initial_delay"],
        }),
      ],
      "must be a number from 0 to 10, or { max_retries = 3, initial_delay = 1.0, backoff_coefficient = 2.0, max_delay = 60.0 }",
    ),
    {
      default: "`0`",
      meaning:
        "How often a call is run again whose container died before the first byte of its response: say so only where a second run does no harm. A number waits a second before each; in a table the delay grows by its coefficient up to `max_delay`.",
      example: "3",
    },
  ),
  stall_timeout: key(seconds(1, DAY_S), {
    default: "`60`",
    meaning:
      "Time that a client may take nothing of its response while other requests wait for the container. Then the response is cut, and the place goes to the next one.",
    example: "20",
  }),
  result_ttl: key(seconds(1, 7 * DAY_S), {
    default: "`604800`",
    meaning:
      "Time that a stored response can be read: one that was redirected, asked for with `Prefer: respond-async` or has an `Idempotency-Key`.",
    example: "86400",
  }),
  affinity: key(
    either(
      [
        affinity(),
        list(affinity(), `${AFFINITY} or a list of them`).max(MAX_AFFINITY_WORDS, {
          error: `must be at most ${MAX_AFFINITY_WORDS} rules`,
        }),
      ],
      `${AFFINITY} or a list of them`,
    ),
    {
      default: '`"none"`',
      meaning:
        "How the requests of one session find the container that has it ([sessions.md](sessions.md)): a rule, a preset, or a list of them that is tried in order. Where it is not `none`, a request with `Modal-Session-ID` is led by that header.",
      example: '["gradio", "header:X-Session"]',
    },
  ),
  affinity_mode: key(oneOf(["soft", "hard"]), {
    default: '`"soft"`',
    meaning:
      'The fate of a session whose container is gone. `"soft"`: it goes on in another container, and the response says `Postern-Session: moved`. `"hard"`: its requests get 410 `session_lost`; with the preset `mcp` they get 404, and its clients begin anew.',
    example: '"hard"',
  }),
  batch: key(table({ max_batch_size: integer(1, 10_000), wait_ms: integer(0, 60_000) }), {
    default: "none",
    meaning:
      "Requests that a container is given together: as many as came within `wait_ms` after the first one, at most `max_batch_size`. [Kinds](kinds.md#batches) has the rules.",
    example: "{ max_batch_size = 16, wait_ms = 20 }",
  }),
  parameters: key(parameters(), {
    default: "none",
    meaning:
      "Query parameters that select containers of their own, and what these are started with. [Kinds](kinds.md#parameters) has the rules.",
    example: '{ root = { type = "str", default = "." } }',
  }),
  method: key(oneOf(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]), {
    default: '`"GET"`',
    meaning: "The method of a `callable`.",
    example: '"POST"',
  }),
  docs: key(boolean(), {
    default: "`false`",
    meaning:
      "Whether a `callable` shows pages that document it, at `/docs` and `/redoc`, and their `/openapi.json`.",
    example: "true",
  }),
  cors: key(
    either(
      [
        z.boolean(),
        table({
          origins: list(
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
    {
      default: "`false`; of a `callable` `true`",
      meaning:
        "Pages of other origins may call: `true` for all, or a table of those that may. The gateway answers preflights and puts the headers on every response, its own redirects and errors included.",
      example: "true",
    },
  ),
};

/** The keys of the process that serves an endpoint. */
import * as z from "zod";
import { RESERVED_VARIABLES, VARIABLE_NAME } from "../../../routing/wire/variables.ts";
import { integer, list, name, oneOf, path, seconds, tableOf, text } from "../values.ts";
import { key, nonEmptyText, DAY_S } from "./key.ts";
import { requests } from "./request-list.ts";

/** A line of a requirements file, options such as --index-url included, that leads to no other file. */
const REQUIREMENT =
  /^(?!\s*(?:-[rce]|--(?:requirement|constraint|editable)\b|\.{0,2}\/))[^\0\r\n]*[^\s\0][^\0\r\n]*$/;

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

export const PROCESS_KEYS = {
  python: key(
    nonEmptyText('must be the path of a Python interpreter, such as ".venv/bin/python"'),
    {
      default: "`python3`",
      meaning:
        "For `asgi`, `wsgi` and `callable`: the interpreter that has uvicorn and the app's packages. A name is looked up in `PATH`, a path starts at `directory`.",
      example: '".venv/bin/python"',
    },
  ),
  requirements: key(
    list(
      text(
        REQUIREMENT,
        'must be one line that stands by itself, such as "fastapi>=0.115"; the environment knows no files of the app',
      ),
      'must be a list of requirements, such as ["fastapi", "uvicorn"]',
    ),
    {
      default: "none",
      meaning:
        "For `asgi`, `wsgi` and `callable`: the packages that the process runs with, in lines as of a requirements file. `python` makes an environment for them, once for the same list ([deployments.md](deployments.md#python-environments)).",
      example: '["fastapi", "uvicorn"]',
    },
  ),
  directory: key(nonEmptyText("must be the path of a directory"), {
    default: "the file's directory",
    meaning: "The working directory of the process.",
    example: '"."',
  }),
  env: key(
    tableOf(
      text(VARIABLE_NAME, "must be named with ASCII letters, digits and underscores")
        // A rule of its own, so that the sentence is its own.
        .refine((key) => !RESERVED_VARIABLES.has(key), {
          error: "is given to the container by Postern and can't be overridden",
        }),
      text(/^[^\0]*$/, 'must be text: write "1" for 1'),
      'must be a table of text, such as { MODEL = "small" }',
    ),
    {
      default: "`{}`",
      meaning:
        "Variables that are added to the environment that Postern was started in. Those that Postern sets for every process can't be set here.",
      example: '{ MODEL = "small" }',
    },
  ),
  secrets: key(list(name(), 'must be a list of names of secrets, such as ["huggingface"]'), {
    default: "`[]`",
    meaning:
      "Secrets of the environment whose variables are added. A later one wins over an earlier one, `env` over all of them ([environments.md](environments.md#secrets)).",
    example: '["huggingface"]',
  }),
  port: key(integer(1, 65_535), {
    default: "a free one",
    meaning:
      "The port that a `web_server` always takes, where it can't be told one by `$PORT` or the variable `PORT`. A new version then waits for the old one's end, and requests for both: prefer `$PORT`.",
    example: "8188",
  }),
  health_path: key(path(), {
    default: "none",
    meaning:
      "The path that is asked until it answers 2xx; the container is ready then. Without one, a server that accepts connections is ready.",
    example: '"/health"',
  }),
  health_interval: key(seconds(1, 3_600), {
    default: "`10`",
    meaning:
      "Time between two questions at `health_path` once the container is ready. A container that does not answer them is ended and replaced.",
    example: "10",
  }),
  warmup: key(requests('[{ get = "/health" }]'), {
    default: "none",
    meaning:
      "Requests that the container gets, one after the other, when it listens and before it is ready. One that is not answered 2xx fails the start.",
    example:
      '[{ post = "/v1/completions", body = { model = "m", prompt = "hello", max_tokens = 1 } }]',
  }),
  startup_timeout: key(seconds(1, DAY_S), {
    default: "`timeout`",
    meaning:
      "Time from the start to readiness. Requests that wait for it get 504 `startup_timeout`.",
    example: "1800",
  }),
  stop_signal: key(oneOf(STOP_SIGNALS), {
    default: "`SIGTERM`",
    meaning: "The signal that asks the process to end.",
    example: '"SIGINT"',
  }),
  stop_command: key(
    z
      .array(text(/^[^\0]*$/, "must be text"), {
        error: 'must be a command as a list of text, such as ["docker", "stop", "vllm"]',
      })
      .refine(([program]) => program === undefined || program.trim() !== "", {
        error: "must begin with a program's name or path",
      }),
    {
      default: "`[]`",
      meaning:
        "A command that ends what a `web_server` started outside of its own process, such as a container of Docker. It is run with the container's variables when the container is to end, before `stop_signal`. Without one, a server that systemd runs for it is not taken for the container.",
      example: '["docker", "stop", "vllm"]',
    },
  ),
  exit_grace_period: key(seconds(0, 3_600), {
    default: "`30`",
    meaning:
      "Time for calls to finish when their version has been replaced or the box stops, and again for a process from `stop_signal` to SIGKILL. WebSockets of a container that is to end have as long. Processes that it started end with it.",
    example: "30",
  }),
};

/** The kinds of endpoint: exactly one of these keys says what serves it. */
import { list, functionName, originUrl, text } from "../values.ts";
import { key, target } from "./key.ts";

export const KIND_KEYS_TABLE = {
  asgi: key(target(), {
    meaning:
      "A Python ASGI app (FastAPI, Starlette, Django, Gradio mounted in one), or a function without arguments that returns one. Postern runs it on uvicorn, which the endpoint's Python must have. Lifespan events are honoured.",
    example: '"server:app"',
  }),
  wsgi: key(target(), {
    meaning:
      "A Python WSGI app (Flask, Django), or a function without arguments that returns one. Each request has a thread, up to `max_inputs`; bodies stream both ways. Postern runs it on uvicorn, which the endpoint's Python must have. A WebSocket gets 501 `not_supported`.",
    example: '"server:app"',
  }),
  callable: key(target(), {
    meaning:
      "A Python function, an object that can be called, a method, or a class, which FastAPI answers requests at `/` by. Plain functions run on threads, up to `max_inputs`; what a generator yields is streamed. [Kinds](kinds.md#functions-and-classes) has the rules. The endpoint's Python needs `fastapi[standard]`.",
    example: '"server:handler"',
  }),
  web_server: key(
    list(
      text(/^[^\0]*$/, "must be text"),
      'must be a command as a list of text, such as ["server", "--port", "$PORT"]',
    ).refine((command) => command[0]?.trim() !== "", {
      error: "must begin with a program's name or path",
    }),
    {
      meaning:
        "A command that starts a server. It is run as it stands, without a shell; `$PORT` in it is replaced by a free port of 127.0.0.1, which is in the variable `PORT` as well. `$POSTERN_WEB_URL` is replaced by the endpoint's URL, `$POSTERN_WEB_HOST` by the host name in that.",
      example: '["server", "--port", "$PORT"]',
    },
  ),
  module: key(
    text(
      /^[^\0]*[^\s\0/]\.m?[jt]s$/,
      'must be a file of TypeScript or JavaScript, such as "app.ts"',
    ),
    {
      meaning:
        "An app in TypeScript, by ASGI's events: `async (scope, receive, send)`, the file's default export or its `app`. Postern runs it on its own Node, which takes the types out and transforms nothing ([kinds.md](kinds.md#an-app-in-typescript)). The file is relative to `directory`.",
      example: '"app.ts"',
    },
  ),
  upstream: key(originUrl(), {
    meaning: "A server that somebody else runs. Postern starts, watches and ends nothing.",
    example: '"http://127.0.0.1:8000"',
  }),
  containers_of: key(functionName(), {
    meaning:
      "Another function of the app. The endpoint is a second name on its containers, in its queue: `label`, `requires_proxy_auth`, `auth`, `paths`, `timeout`, `request_timeout`, `life_signs`, `api`, `max_duration`, `websocket_max_message`, `on_disconnect`, `result_ttl`, `retries` and `cors` are the second name's own, and what belongs to the containers is said once, there.",
    example: '"other"',
  }),
  python_function: key(target(), {
    meaning:
      "A function or class of a Python file that uses the package `postern`, as its decorators say ([python.md](python.md)). `postern serve app.py` and `postern deploy app.py` write it.",
    example: '"app:hello"',
  }),
};

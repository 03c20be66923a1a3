"""The command line of a Python container.

    serve.py --kind KIND --port PORT [--calls-port PORT] [--threads COUNT] [--method METHOD] [--docs | --no-docs]
        [--batch SIZE:MILLISECONDS] [--parameter NAME:TYPE]... [--stop-signal SIGNAL]
        [--exit-grace-period SECONDS] [--channel DESCRIPTOR] MODULE:ATTRIBUTE

The kind is asgi, wsgi, callable or python_function, and says what the attribute is: an app, a function or class that
makes one when it is called without arguments, for callable a function, a class or a method, and for python_function
the name of a function or class in the module's app (app_functions.py). Its calls come to the calls port where its web
server has the other one. The working directory is the app's
directory. What a user can get wrong ends in one line "postern: ..." on stderr and exit code 1, after a traceback
where the mistake is inside the user's own code.
"""

import argparse
import functools
import os
import sys

from . import asgi, batching, handlers, lifecycle, parameters, server, web, wsgi
from .refusals import refuse_user_error


async def serve(arguments):
    """Imports the app inside the running loop, as uvicorn does: apps may ask for it at their import."""
    serve_app = functools.partial(
        server.serve,
        port=arguments.port,
        stop_signal=arguments.stop_signal,
        exit_grace_period=arguments.exit_grace_period,
        channel=arguments.channel,
    )
    if arguments.kind == "asgi":
        await serve_app(asgi.find_app(arguments.target))
    elif arguments.kind == "python_function":
        from . import app_functions

        await app_functions.serve(arguments, serve_app)
    elif arguments.kind == "wsgi":
        await serve_app(wsgi.WsgiApp(wsgi.find_app(arguments.target), arguments.threads))
    else:
        await serve_callable(arguments, serve_app)


async def serve_callable(arguments, serve_app):
    web.import_fastapi()
    handler = handlers.find_handler(arguments.target, parameters.from_environment(arguments.parameter))
    app = web_app_of(arguments, handler)
    await web.allow_threads(arguments.threads)
    if handler.instance is None:
        await serve_app(app)
        return
    try:
        await lifecycle.enter(handler.instance)
    except Exception as error:
        refuse_user_error("what runs before the first call of {} failed".format(arguments.target), error)
    await serve_app(app, on_end=functools.partial(lifecycle.leave, handler.instance))


def web_app_of(arguments, handler):
    function, collected = handler.function, handler.batching
    if arguments.batch is not None:
        size, _, wait = arguments.batch.partition(":")
        collected = {"max_batch_size": int(size), "wait_ms": int(wait)}
    if collected:
        function = batching.for_web(function, **collected)
    method = arguments.method or handler.web.get("method", "GET")
    docs = handler.web.get("docs", False) if arguments.docs is None else arguments.docs
    return web.wrap(function, method=method, docs=docs)


def put_programs_on_path():
    """What the environment's packages install as programs is found by its name, as in an active environment."""
    programs = os.path.join(sys.prefix, "bin")
    path = os.environ.get("PATH", "").split(os.pathsep)
    if sys.prefix != sys.base_prefix and path[0] != programs:
        os.environ["PATH"] = os.pathsep.join([programs, *path])


def main():
    parser = argparse.ArgumentParser(prog="serve.py", allow_abbrev=False)
    parser.add_argument("--kind", choices=("asgi", "wsgi", "callable", "python_function"), required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--calls-port", type=int)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--method")
    parser.add_argument("--docs", action=argparse.BooleanOptionalAction)
    parser.add_argument("--batch", metavar="SIZE:MILLISECONDS")
    parser.add_argument("--parameter", metavar="NAME:TYPE", action="append", default=[])
    parser.add_argument("--stop-signal", default="SIGTERM")
    parser.add_argument("--exit-grace-period", type=float, default=30.0)
    parser.add_argument("--channel", type=int)
    parser.add_argument("target", metavar="MODULE:ATTRIBUTE")
    arguments = parser.parse_args()
    # The app's directory takes the place of this file's; the app's own parsers find no arguments of ours.
    # The package `postern` stays on the path: the agent's own version where the container's server is made of it, and
    # where an app uses it otherwise, the one that its environment has.
    own, sys.path[0] = sys.path[0], os.getcwd()
    sys.path.insert(1 if arguments.kind == "python_function" else len(sys.path), own)
    sys.argv[1:] = []
    put_programs_on_path()
    if arguments.kind != "python_function":
        # Before the user's code, which may take long to import.
        server.import_uvicorn()
    server.run(functools.partial(serve, arguments))

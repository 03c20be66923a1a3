"""The command line of a Python container.

    serve.py --kind KIND --port PORT [--threads COUNT] [--stop-signal SIGNAL]
        [--exit-grace-period SECONDS] [--channel DESCRIPTOR] MODULE:ATTRIBUTE

The kind is asgi or wsgi, and the attribute an app, or a function or class that makes one when it is called without
arguments. The working directory is the app's directory. What a user can get wrong ends in one line "postern: ..." on
stderr and exit code 1, after a traceback where the mistake is inside the user's own code.
"""

import argparse
import functools
import os
import sys

from . import asgi, server, wsgi


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
    else:
        await serve_app(wsgi.WsgiApp(wsgi.find_app(arguments.target), arguments.threads))


def main():
    parser = argparse.ArgumentParser(prog="serve.py", allow_abbrev=False)
    parser.add_argument("--kind", choices=("asgi", "wsgi"), required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--stop-signal", default="SIGTERM")
    parser.add_argument("--exit-grace-period", type=float, default=30.0)
    parser.add_argument("--channel", type=int)
    parser.add_argument("target", metavar="MODULE:ATTRIBUTE")
    arguments = parser.parse_args()
    # The app's directory takes the place of this file's; the app's own parsers find no arguments of ours.
    sys.path[0] = os.getcwd()
    sys.argv[1:] = []
    # Before the user's code, which may take long to import.
    server.import_uvicorn()
    server.run(functools.partial(serve, arguments))

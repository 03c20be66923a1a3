"""Serves a Python ASGI app for the Postern agent: uvicorn on a loopback port, tuned for being behind it.

    serve_asgi.py --port PORT [--stop-signal SIGNAL] [--exit-grace-period SECONDS] [--channel DESCRIPTOR]
        MODULE:ATTRIBUTE

The attribute is an ASGI app, or a function or class that gives one when it is called without arguments. The working directory is
the app's directory. Needs the standard library and uvicorn, with whatever loop, HTTP and WebSocket
implementation uvicorn finds. What a user can get wrong ends in one line "postern: ..." on stderr and exit
code 1, after a traceback where the mistake is inside the user's own code.

The channel is a socket to the agent, or a pipe to read whose next descriptor is one to write. The agent
writes the id of a call that it gave up, as one line; it gets the line back when the app no longer works on
that call, and never will.
"""

import argparse
import asyncio
import collections
import functools
import importlib
import inspect
import os
import signal
import socket
import stat
import sys
import traceback

# The agent's pooled connections must not be closed under its hands; it gives idle ones up much earlier.
KEEP_ALIVE_SECONDS = 300
# The gateway lets 64 KiB of header lines through; the agent adds a few of its own.
MAX_REQUEST_HEAD_BYTES = 128 * 1024
# The agent counts the 32 MiB that the contract promises (and answers 1009); the app is to see them whole.
MAX_WEBSOCKET_MESSAGE_BYTES = 32 * 1024 * 1024
# Of the grace period, what requests get to finish; the rest is for the app's own lifespan shutdown.
SHARE_OF_GRACE_FOR_REQUESTS = 0.75
# Calls that were given up may still be on their way to the app; later ones push out the oldest.
MAX_REMEMBERED_CALLS = 10_000
POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
# uvicorn's own exit code for an app that failed to start.
STARTUP_FAILURE = 3


def refuse(message):
    """Ends the process with one line that says what would be right."""
    print("postern: " + message, file=sys.stderr, flush=True)
    sys.exit(1)


def refuse_user_error(message, error):
    """As refuse, for an exception in the user's code: with its traceback, without the frames up to it."""
    frames = error.__traceback__
    while frames is not None and is_ours(frames.tb_frame.f_code.co_filename):
        frames = frames.tb_next
    traceback.print_exception(type(error), error, frames)
    # Its other lines stand in the traceback.
    reason = str(error).strip().partition("\n")[0].rstrip()
    refuse("{}: {}: {}".format(message, type(error).__name__, reason))


def is_ours(filename):
    return filename == __file__ or filename.startswith("<frozen importlib") or filename == importlib.__file__


def import_uvicorn():
    try:
        import uvicorn
    except ModuleNotFoundError as error:
        if error.name != "uvicorn":
            raise
        refuse("uvicorn is not installed: run {} -m pip install 'uvicorn[standard]'".format(sys.executable))
    return uvicorn


def import_target(target):
    """Returns what MODULE:ATTRIBUTE names."""
    module_name, _, attributes = target.partition(":")
    try:
        found = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        # A module that the user's own module imports and that is missing is the user's mistake in it.
        if error.name is None or not (module_name + ".").startswith(error.name + "."):
            refuse_user_error("importing {} failed".format(module_name), error)
        refuse("there is no module {} in {}".format(module_name, os.getcwd()))
    except (Exception, SystemExit) as error:
        refuse_user_error("importing {} failed".format(module_name), error)
    path = module_name
    for attribute in attributes.split("."):
        try:
            found = getattr(found, attribute)
        except AttributeError:
            refuse("{} has no attribute {}".format(path, attribute))
        path += "." + attribute
    return found


def takes(function, count):
    """Whether a callable can be called with so many positional arguments and nothing else."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        # Some builtins and extension types tell nothing: then they get the benefit of the doubt.
        return count == 3
    try:
        signature.bind(*range(count))
    except TypeError:
        return False
    return True


def is_app(found):
    """Whether a value is an ASGI app. Factories with optional parameters can be called with three arguments too.

    A class is one where awaiting its instance handles the request, as Starlette's endpoints do. An object or
    an async function that takes three arguments is one. Of other functions those are that need the three
    arguments, or that call the first one scope.
    """
    if not (callable(found) and takes(found, 3)):
        return False
    function = found
    while isinstance(function, functools.partial):
        function = function.func
    if inspect.isclass(function):
        return hasattr(function, "__await__")
    if inspect.iscoroutinefunction(function) or not inspect.isroutine(function):
        return True
    try:
        parameters = list(inspect.signature(found).parameters.values())
    except (TypeError, ValueError):
        return True
    needed = [each for each in parameters if each.kind in POSITIONAL and each.default is each.empty]
    return len(needed) == 3 or parameters[0].name == "scope"


def find_app(target):
    """Returns the ASGI app that the target is or makes."""
    found = import_target(target)
    if not callable(found):
        refuse("{} is of type {} and not an ASGI app".format(target, type(found).__name__))
    if is_app(found):
        return found
    if not takes(found, 0):
        refuse(not_an_app(target, found))
    if inspect.iscoroutinefunction(found):
        refuse("{} is an async function; the function that makes the app must be a plain one".format(target))
    try:
        app = found()
    except (Exception, SystemExit) as error:
        refuse_user_error("{}() failed".format(target), error)
    if not is_app(app):
        refuse(not_an_app("{}()".format(target), app))
    return app


def not_an_app(name, found):
    if callable(found) and takes(found, 2) and not takes(found, 3):
        return "{} looks like a WSGI app, which is not supported yet; run it by web_server, with gunicorn for one".format(name)
    if inspect.isclass(found):
        return "{} is a class that needs arguments; name an instance, or a function that makes one".format(name)
    if inspect.isroutine(found):
        return "{} is neither an ASGI app nor a function without arguments".format(name)
    return "{} is of type {} and not an ASGI app".format(name, type(found).__name__)


class Calls:
    """The app, and which calls it works on."""

    def __init__(self, app):
        self.app = app
        self.running = collections.Counter()
        self.given_up = collections.OrderedDict()
        self.writer = None

    async def __call__(self, scope, receive, send):
        call = call_of(scope)
        if call is None:
            return await self.app(scope, receive, send)
        if call in self.given_up:
            # The agent was told that the app does not work on it: nobody waits for an answer.
            return None
        self.running[call] += 1
        try:
            return await self.app(scope, receive, send)
        finally:
            self.running[call] -= 1
            if self.running[call] == 0:
                del self.running[call]
                if call in self.given_up:
                    self.tell(call)

    def tell(self, call):
        if not self.writer.is_closing():
            self.writer.write(call + b"\n")

    async def listen(self, descriptor):
        """Answers the agent until it is gone."""
        reader, self.writer = await open_channel(descriptor)
        while True:
            line = await reader.readline()
            if not line.endswith(b"\n"):
                return
            call = line[:-1]
            self.given_up[call] = None
            if len(self.given_up) > MAX_REMEMBERED_CALLS:
                self.given_up.popitem(last=False)
            if call not in self.running:
                self.tell(call)


async def open_channel(descriptor):
    """Returns what reads lines, and what writes."""
    os.set_inheritable(descriptor, False)
    if stat.S_ISSOCK(os.fstat(descriptor).st_mode):
        return await asyncio.open_unix_connection(sock=socket.socket(fileno=descriptor))
    os.set_inheritable(descriptor + 1, False)
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(
        functools.partial(asyncio.StreamReaderProtocol, reader), open(descriptor, "rb", 0)
    )
    writer, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, open(descriptor + 1, "wb", 0))
    return reader, writer


def call_of(scope):
    """The call's id as the gateway gave it, or None."""
    for name, value in scope.get("headers", ()):
        if name == b"postern-call-id":
            return value
    return None


def settings_for(uvicorn, arguments):
    settings = {
        "host": "127.0.0.1",
        "port": arguments.port,
        # What find_app returns takes three arguments; uvicorn's own guess fails for partial functions.
        "interface": "asgi3",
        # Lifespan failures end the start; an app that knows no lifespan runs without.
        "lifespan": "auto",
        # Client address and scheme come from the agent, which connects from this machine and overwrites both.
        "proxy_headers": True,
        "forwarded_allow_ips": "127.0.0.1",
        # An app's own Server header stays the only one.
        "server_header": False,
        "access_log": False,
        "log_level": "warning",
        "timeout_keep_alive": KEEP_ALIVE_SECONDS,
        "timeout_graceful_shutdown": max(1, int(arguments.exit_grace_period * SHARE_OF_GRACE_FOR_REQUESTS)),
        "h11_max_incomplete_event_size": MAX_REQUEST_HEAD_BYTES,
        "ws_max_size": MAX_WEBSOCKET_MESSAGE_BYTES,
    }
    known = inspect.signature(uvicorn.Config).parameters
    # Old versions lack some of the limits; they serve with their own.
    return {name: value for name, value in settings.items() if name in known}


async def serve(uvicorn, arguments):
    """Imports the app inside the running loop, as uvicorn does: apps may ask for it at their import."""
    app = Calls(find_app(arguments.target))
    if arguments.channel is not None:
        # Referred to while the app is served: the loop itself keeps tasks only weakly.
        listening = asyncio.ensure_future(app.listen(arguments.channel))
    server = uvicorn.Server(uvicorn.Config(app, **settings_for(uvicorn, arguments)))
    stop_signal = getattr(signal, arguments.stop_signal)
    if stop_signal not in (signal.SIGTERM, signal.SIGINT, signal.SIGKILL):
        # uvicorn handles the first two itself, and only while it serves.
        signal.signal(stop_signal, server.handle_exit)
    await server.serve()
    if arguments.channel is not None:
        listening.cancel()
    if not server.started:
        sys.exit(STARTUP_FAILURE)


def run(main):
    """asyncio.run on uvloop where it is installed."""
    try:
        import uvloop
    except ImportError:
        asyncio.run(main())
        return
    if hasattr(asyncio, "Runner"):
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(main())
    else:
        uvloop.install()
        asyncio.run(main())


def main():
    parser = argparse.ArgumentParser(prog="serve_asgi.py", allow_abbrev=False)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--stop-signal", default="SIGTERM")
    parser.add_argument("--exit-grace-period", type=float, default=30.0)
    parser.add_argument("--channel", type=int)
    parser.add_argument("target", metavar="MODULE:ATTRIBUTE")
    arguments = parser.parse_args()
    # The app's directory takes the place of this file's; the app's own parsers find no arguments of ours.
    sys.path[0] = os.getcwd()
    sys.argv[1:] = []
    run(functools.partial(serve, import_uvicorn(), arguments))


if __name__ == "__main__":
    main()

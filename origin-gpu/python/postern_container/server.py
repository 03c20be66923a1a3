"""uvicorn on a loopback port, tuned for being behind the agent. Uses whatever loop, HTTP and WebSocket
implementation uvicorn finds."""

import asyncio
import inspect
import signal
import sys

from . import tunnels
from .calls import Calls
from .channel import Channel
from .refusals import refuse_missing
from .tunnels import Tunnels

# The agent's pooled connections must not be closed under its hands; it gives idle ones up much earlier.
KEEP_ALIVE_SECONDS = 300
# The gateway lets 64 KiB of header lines through; the agent adds a few of its own.
MAX_REQUEST_HEAD_BYTES = 128 * 1024
# The agent counts the 32 MiB that the contract promises (and answers 1009); the app is to see them whole.
MAX_WEBSOCKET_MESSAGE_BYTES = 32 * 1024 * 1024
# Of the grace period, what requests get to finish; the rest is for the app's own lifespan shutdown.
SHARE_OF_GRACE_FOR_REQUESTS = 0.75
# uvicorn's own exit code for an app that failed to start.
STARTUP_FAILURE = 3


def import_uvicorn():
    try:
        import uvicorn
    except ModuleNotFoundError as error:
        if error.name != "uvicorn":
            raise
        refuse_missing("uvicorn", "uvicorn[standard]")
    return uvicorn


def settings_for(uvicorn, port, exit_grace_period):
    settings = {
        "host": "127.0.0.1",
        "port": port,
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
        "timeout_graceful_shutdown": max(1, int(exit_grace_period * SHARE_OF_GRACE_FOR_REQUESTS)),
        "h11_max_incomplete_event_size": MAX_REQUEST_HEAD_BYTES,
        "ws_max_size": MAX_WEBSOCKET_MESSAGE_BYTES,
    }
    known = inspect.signature(uvicorn.Config).parameters
    # Old versions lack some of the limits; they serve with their own.
    return {name: value for name, value in settings.items() if name in known}


async def serve(app, *, port, stop_signal="SIGTERM", exit_grace_period=30.0, channel=None, on_end=None):
    """Serves an ASGI app until the stop signal. Ends the process where the app's lifespan fails to start.

    channel: the descriptor of channel.py, or None. on_end: awaited after the last request and the app's own lifespan.
    uvicorn lets the signal end the process then, so that nothing after this function is sure to run.
    """
    uvicorn = import_uvicorn()
    calls = Calls(app)
    if channel is not None:
        open_channel(channel, calls)
    server = server_of(uvicorn, on_end)(uvicorn.Config(calls, **settings_for(uvicorn, port, exit_grace_period)))
    number = getattr(signal, stop_signal)
    if number not in (signal.SIGTERM, signal.SIGINT, signal.SIGKILL):
        # uvicorn handles the first two itself, and only while it serves.
        signal.signal(number, server.handle_exit)
    await server.serve()
    if not server.started:
        sys.exit(STARTUP_FAILURE)


def open_channel(descriptor, calls):
    channel = Channel(descriptor)
    calls.listen(channel)
    tunnels.of_container = Tunnels(channel)

    def on_line(line):
        (tunnels.of_container if line.startswith(tunnels.ANSWER) else calls).on_line(line)

    channel.listen(on_line, tunnels.of_container.on_end)


def server_of(uvicorn, on_end):
    if on_end is None:
        return uvicorn.Server

    class EndingServer(uvicorn.Server):
        async def shutdown(self, sockets=None):
            await super().shutdown(sockets)
            await on_end()

    return EndingServer


def run(main):
    """asyncio.run on uvloop where it is installed."""
    try:
        import uvloop
    except ImportError:
        uvloop = None
    # Not in the except clause: each traceback of the app would tell of uvloop first.
    if uvloop is None:
        asyncio.run(main())
    elif hasattr(asyncio, "Runner"):
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(main())
    else:
        uvloop.install()
        asyncio.run(main())

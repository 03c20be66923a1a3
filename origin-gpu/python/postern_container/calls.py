"""Which calls the app works on, for the agent: it frees a call's place when the app has stopped working on it.

The channel is a socket to the agent, or a pipe to read whose next descriptor is one to write. The agent writes the
id of a call that it gave up, as one line; it gets the line back when the app no longer works on that call, and never
will.
"""

import asyncio
import collections
import functools
import os
import socket
import stat

# Calls that were given up may still be on their way to the app; later ones push out the oldest.
MAX_REMEMBERED_CALLS = 10_000


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

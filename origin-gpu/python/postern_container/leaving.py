"""Cancels what an ASGI app does for a client that has left before its response began, where the app would go on.

The app's task gets an asyncio.CancelledError, as any awaited function does. It is for functions that are async: Python
cannot stop a thread, and the task would end before it. A response that has begun is the app's to end: it gets
`http.disconnect`, as always.
"""

import asyncio


class CancelledWhenLeft:
    """The app, with its http requests watched."""

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        exchange = Watched(receive, send)
        work = asyncio.ensure_future(self.app(scope, exchange.receive, exchange.send))
        watch = asyncio.ensure_future(exchange.left())
        try:
            await asyncio.wait((work, watch), return_when=asyncio.FIRST_COMPLETED)
            if not work.done() and not exchange.has_begun:
                work.cancel()
                await asyncio.wait((work,))
                if work.cancelled():
                    return None
            return await work
        finally:
            watch.cancel()
            # The server has cancelled this task: the app's goes with it.
            work.cancel()


class Watched:
    """Reads events before the app asks for them, so that it hears of a disconnect. Of a body it reads one part ahead."""

    def __init__(self, receive, send):
        self.receive_next = receive
        self.send_on = send
        self.has_begun = False
        self.event = None
        self.disconnect = None
        # Set and renewed at each change of the two.
        self.changed = asyncio.Event()

    async def left(self):
        """Returns when the client has left, as far as the app has read its body."""
        while True:
            event = await self.receive_next()
            if event["type"] == "http.disconnect":
                self.disconnect = event
                self.tell()
                return
            self.event = event
            self.tell()
            while self.event is not None and event.get("more_body", False):
                await self.changed.wait()

    async def receive(self):
        # What is there is returned at once: whoever only looks whether the client has left waits for nothing.
        while self.event is None and self.disconnect is None:
            await self.changed.wait()
        if self.event is None:
            return self.disconnect
        event, self.event = self.event, None
        self.tell()
        return event

    def tell(self):
        self.changed.set()
        self.changed = asyncio.Event()

    async def send(self, event):
        self.has_begun = True
        await self.send_on(event)

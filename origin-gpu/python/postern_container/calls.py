"""Which calls the app works on, for the agent: it frees a call's place when the app has stopped working on it.

The agent writes the id of a call that it gave up, as one line of the channel; it gets the line back when the app no
longer works on that call, and never will.
"""

import asyncio
import collections

# Calls that were given up may still be on their way to the app; later ones push out the oldest.
MAX_REMEMBERED_CALLS = 10_000


class Calls:
    """The app, and which calls it works on."""

    def __init__(self, app):
        self.app = app
        self.running = collections.Counter()
        self.given_up = collections.OrderedDict()
        self.channel = None

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
                    self.channel.say(call)

    def listen(self, channel):
        """Answers the agent, until it is gone. Called in the event loop, which the app runs in."""
        self.channel = channel
        self.loop = asyncio.get_running_loop()

    def on_line(self, call):
        """The agent gave a call up. Called on the channel's thread."""
        try:
            self.loop.call_soon_threadsafe(self.give_up, call)
        except RuntimeError:
            # The loop has ended, and the calls with it.
            pass

    def give_up(self, call):
        self.given_up[call] = None
        if len(self.given_up) > MAX_REMEMBERED_CALLS:
            self.given_up.popitem(last=False)
        if call not in self.running:
            self.channel.say(call)


def call_of(scope):
    """The call's id as the gateway gave it, or None."""
    for name, value in scope.get("headers", ()):
        if name == b"postern-call-id":
            return value
    return None

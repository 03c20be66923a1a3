"""Public URLs for ports of this container, which the agent opens. `postern.forward` asks for them.

    to the agent     forward ID PORT, close ID
    from the agent   forwarded ID JSON, with `url`, or `error` in words
"""

import itertools
import json
import os
import threading

ANSWER = b"forwarded "

# The agent asks the gateway, which may be away for some time.
ANSWER_SECONDS = 60


class Tunnels:
    """Of this container. Its methods may be called from any thread, and block."""

    def __init__(self, channel):
        self.channel = channel
        self.numbers = itertools.count(1)
        self.lock = threading.Lock()
        # By number, the event that the answer sets.
        self.waiting = {}
        self.answers = {}
        self.is_ended = False

    def open(self, port):
        """Returns the tunnel's number and its URL. Raises RuntimeError with the reason in words."""
        answered = threading.Event()
        with self.lock:
            number = next(self.numbers)
            self.waiting[number] = answered
        if not self.is_ended:
            self.channel.say(b"forward %d %d" % (number, port))
            answered.wait(ANSWER_SECONDS)
        with self.lock:
            del self.waiting[number]
            answer = self.answers.pop(number, None)
        if answer is None:
            # It may come yet, to nobody.
            self.close(number)
            raise RuntimeError("the agent did not answer; it is gone, or older than this container's server")
        if "url" not in answer:
            raise RuntimeError(answer.get("error", "the agent opened none"))
        return number, answer["url"]

    def close(self, number):
        self.channel.say(b"close %d" % number)

    def on_line(self, line):
        """Takes an answer, on the channel's thread."""
        number, _, text = line[len(ANSWER) :].partition(b" ")
        with self.lock:
            answered = self.waiting.get(int(number))
            if answered is not None:
                self.answers[int(number)] = json.loads(text)
                answered.set()

    def on_end(self):
        with self.lock:
            self.is_ended = True
            for answered in self.waiting.values():
                answered.set()


# Of this process; None in one that the agent did not start.
of_container = None


def forget():
    """In a process that the container forked: the channel's thread is its parent's."""
    global of_container
    of_container = None


os.register_at_fork(after_in_child=forget)

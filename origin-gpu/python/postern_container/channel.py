"""The channel to the agent: a line for each message, both ways.

It is a socket, or a pipe to read whose next descriptor is one to write. A thread of its own reads it, so that no blocked
event loop keeps a line from whoever waits for it.
"""

import os
import stat
import threading

_CHUNK_BYTES = 64 * 1024


class Channel:
    """Passes each line to what takes lines that begin so."""

    def __init__(self, descriptor):
        self.reads = self.writes = descriptor
        if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
            self.writes = descriptor + 1
        for each in {self.reads, self.writes}:
            os.set_inheritable(each, False)
            os.set_blocking(each, True)
        self.lock = threading.Lock()

    def listen(self, on_line, on_end):
        """Calls on_line for each line, and on_end when the agent is gone, on a thread of the channel."""
        threading.Thread(target=self.read, args=(on_line, on_end), name="postern-channel", daemon=True).start()

    def read(self, on_line, on_end):
        rest = b""
        try:
            while True:
                chunk = os.read(self.reads, _CHUNK_BYTES)
                if chunk == b"":
                    return
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    on_line(line)
        except OSError:
            pass
        finally:
            on_end()

    def say(self, line):
        """From any thread. An agent that is gone hears nothing."""
        data = line + b"\n"
        with self.lock:
            try:
                while data:
                    data = data[os.write(self.writes, data) :]
            except OSError:
                pass

"""Does what supervise.pl does, where there is no perl; that file has the description.

    python3 -I -S supervise.py PRCTL SETSID DUP3

The numbers are for supervise.pl alone.
"""

import ctypes
import fcntl
import os
import select
import signal
import sys
import time

# Linux's include/uapi/linux/prctl.h.
PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36

AGENT = 3
CHANNEL = 4
# The exit code of what could not be started for want of resources: EX_OSERR of sysexits.h.
NO_RESOURCES = 71
NOT_EXECUTABLE = 126
NOT_FOUND = 127
# Between two rounds of killing. A killed process is gone within the first, unless a driver holds it.
FIRST_ROUND_S = 0.002
LAST_ROUND_S = 0.2
STOP_POLL_S = 0.02
# fcntl(2): what a container prints while no agent reads waits in its pipe.
F_SETPIPE_SZ = 1031
LARGE_PIPE = 1 << 20


prctl = ctypes.CDLL(None).prctl


def report(line, to=AGENT):
    try:
        os.write(to, line.encode() + b"\n")
    except OSError:
        pass  # The agent is gone.


def begin():
    try:
        return os.fork()
    except OSError as error:
        report(f"failed {error.strerror}")
        os._exit(NO_RESOURCES)


def run(command):
    """A command, in a session of its own."""
    os.setsid()
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    # Python ignores it, and an ignored signal stays ignored.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    try:
        os.execvp(command[0], command)
    except OSError:
        os._exit(NOT_EXECUTABLE)


def leave_output():
    """Holds none of the descriptors that the command got: a reader sees when the command has closed them."""
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 1)
    os.dup2(nothing, 2)
    leave_channel()


def leave_channel():
    try:
        os.close(CHANNEL)
    except OSError:
        pass  # There is none.


def read_task():
    """The agent may end before it has a task for this program."""
    size = b""
    while not size.endswith(b"\n"):
        size += os.read(AGENT, 1) or os._exit(0)
    task = b""
    while len(task) < int(size):
        task += os.read(AGENT, int(size) - len(task)) or os._exit(0)
    return task.split(b"\0")[:-1]


class Pipes:
    """The command's output, and its channel, where another agent may take it over: pairs of two ends."""

    def __init__(self, count):
        try:
            pairs = [os.pipe() for _ in range(count)]
        except OSError:
            pairs = []
        if pairs:
            self.pairs = pairs
            report(" ".join(["pipes", str(os.getpid()), *(str(end) for end in self.ends(own=True))]))
            answer = b""
            while not answer.endswith(b"\n"):
                answer += os.read(AGENT, 1) or os._exit(NO_RESOURCES)
            if answer != b"opened\n":
                self.close(self.ends(own=True) + self.ends(own=False))
                pairs = []
        self.pairs = pairs

    def ends(self, own):
        """Those that this program keeps, so that the command sees no end of its pipes; or the command's."""
        return [pair[int((index == 2) == own)] for index, pair in enumerate(self.pairs)]

    @staticmethod
    def close(ends):
        for end in ends:
            os.close(end)

    def use(self):
        """In the command's process."""
        for end, descriptor in zip(self.ends(own=False), (1, 2, CHANNEL, CHANNEL + 1)):
            os.dup2(end, descriptor)

    def enlarge(self):
        for end in self.ends(own=True)[:2]:
            try:
                fcntl.fcntl(end, F_SETPIPE_SZ, LARGE_PIPE)
            except OSError:
                pass  # Its user has too many pages in pipes.


class Agent:
    """The agent, and the one that may come after it."""

    def __init__(self, pipes):
        self.pipes = pipes
        self.reading = AGENT
        self.writing = AGENT
        self.next = None
        # Keep the next agent's pipes open until it is there.
        self.held = []
        self.linger_s = 0
        self.deadline = None

    def report(self, line):
        report(line, self.writing)

    def linger(self, seconds, key):
        """The next agent opens these by /proc."""
        try:
            commands, held = os.pipe()
            left, to_next = os.pipe()
        except OSError as error:
            self.report(f"failed {error.strerror}")
            return
        self.pipes.enlarge()
        report(f"left {key}", to_next)
        self.next, self.held, self.linger_s = (commands, to_next), [held, left], seconds
        self.report(f"lingers {os.getpid()} {commands} {left}")

    def leave(self):
        """The agent is gone. Returns False where no other one may come."""
        if self.next is None:
            return False
        os.close(self.reading)
        (self.reading, self.writing), self.next = self.next, None
        self.deadline = time.monotonic() + self.linger_s
        return True

    def adopted(self):
        """From here on the end of this agent is seen."""
        Pipes.close(self.held)
        self.held, self.deadline = [], None

    def read(self):
        try:
            return os.read(self.reading, 4096)
        except OSError:
            return b""


class Processes:
    """The children of this process, with all that became its children by losing their parents."""

    def __init__(self, leader=None, agent=None):
        self.leader = leader
        self.agent = agent

    def reap(self):
        """Returns False when nothing is left."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return False
            if pid == 0:
                return True
            if pid == self.leader:
                self.leader = None
                self.agent.report(f"exited {status >> 8} {status & 127}")

    def signal(self, number):
        """The group's number is its own as long as its first process is not waited for."""
        if self.leader is not None:
            send(-self.leader, number)

    def end(self):
        """Each killed process leaves its children to this one, so that no child means: nothing is left."""
        if self.leader is not None:
            send(-self.leader, signal.SIGKILL)
        pause = FIRST_ROUND_S
        while True:
            for pid, group in children():
                # A group is killed at once, so that no member forks meanwhile.
                if group != os.getpgrp():
                    send(-group, signal.SIGKILL)
                send(pid, signal.SIGKILL)
            if not self.reap():
                return
            select.select([], [], [], pause)
            pause = min(LAST_ROUND_S, pause * 1.5)


def send(pid, number):
    try:
        os.kill(pid, number)
    except OSError:
        pass  # Gone already.


def children():
    """By /proc/PID/stat; the process's name is in brackets and may hold blanks and brackets itself."""
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/stat", "rb") as file:
                parent, group = map(int, file.read().rpartition(b") ")[2].split(b" ", 3)[1:3])
        except (OSError, ValueError):
            continue
        if parent == os.getpid():
            yield int(pid), group


def guard(inner, pipes):
    """The outer process."""
    os.close(AGENT)
    pipes.close(pipes.ends(own=True) + pipes.ends(own=False))
    leave_output()
    while True:
        try:
            if os.waitpid(-1, 0)[0] == inner:
                break
        except ChildProcessError:
            break
    Processes().end()
    os._exit(0)


def stop(command, limit):
    """The agent is gone."""
    if not command:
        return
    try:
        pid = os.fork()
    except OSError:
        return
    if pid == 0:
        run(command)
    end = time.monotonic() + limit
    while time.monotonic() < end and os.waitpid(pid, os.WNOHANG)[0] == 0:
        time.sleep(STOP_POLL_S)


def supervise(outer, leader, pipes, stop_command, limit):
    """The inner process."""
    # First, since the descriptors are numbers here: those that are opened later may get the same.
    leave_output()
    pipes.close(pipes.ends(own=False))
    # The handlers do nothing: the numbers arrive at the other end of this pipe, so that no end is missed.
    noticed, notice = os.pipe()
    os.set_blocking(notice, False)
    os.set_blocking(noticed, False)
    signal.set_wakeup_fd(notice)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGTERM, lambda *_: None)
    agent = Agent(pipes)
    agent.report(f"started {leader}")
    prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    processes = Processes(leader, agent)
    over = os.getppid() != outer
    lines = b""
    while not over:
        processes.reap()
        left_s = None if agent.deadline is None else agent.deadline - time.monotonic()
        # Nobody else would see the end of the command, or end it.
        if left_s is not None and (processes.leader is None or left_s <= 0):
            stop(stop_command, limit)
            break
        ready = select.select([agent.reading, noticed], [], [], left_s)[0]
        if noticed in ready:
            over = signal.SIGTERM in os.read(noticed, 4096)
        if agent.reading in ready:
            received = agent.read()
            if received == b"":
                lines = b""
                if not agent.leave():
                    stop(stop_command, limit)
                    over = True
            *complete, lines = (lines + received).split(b"\n")
            for line in complete:
                word, *values = line.decode().split(" ")
                if word == "signal":
                    processes.signal(int(values[0]))
                elif word == "linger":
                    agent.linger(float(values[0]), values[1])
                elif word == "adopt":
                    agent.adopted()
                    agent.report(f"started {processes.leader}")
                else:
                    if agent.deadline is not None:
                        stop(stop_command, limit)
                    over = True
    processes.end()
    os._exit(0)


def main(directory, pipe_count, has_channel, limit, stops, words, *rest):
    command_at, variables_at = int(stops), int(stops) + int(words)
    stop_command, command, variables = rest[:command_at], rest[command_at:variables_at], rest[variables_at:]
    os.environb.clear()
    os.environb.update(variable.split(b"=", 1) for variable in variables)
    try:
        os.chdir(directory)
    except OSError as error:
        name = directory.decode(errors="replace")
        print(f"postern: can't be started in {name}: {error.strerror}", file=sys.stderr, flush=True)
        os._exit(NOT_FOUND)
    # The agent's descriptor is none of the command's.
    os.set_inheritable(AGENT, False)
    outer = os.getpid()
    pipes = Pipes(int(pipe_count))
    # Before each fork: the command may fork away at once.
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    inner = begin()
    if inner != 0:
        guard(inner, pipes)
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    leader = begin()
    if leader == 0:
        if has_channel == b"0":
            leave_channel()
        pipes.use()
        run(command)
    supervise(outer, leader, pipes, stop_command, float(limit))


main(*read_task())

"""Does what supervise.pl does, where there is no perl; that file has the description.

    python3 -I -S supervise.py PRCTL SETSID LIMIT COUNT [STOP…] COMMAND [ARGUMENT…]

The first two numbers are for supervise.pl alone.
"""

import ctypes
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
KEPT = b"POSTERN_KEPT_"
# Between two rounds of killing. A killed process is gone within the first, unless a driver holds it.
FIRST_ROUND_S = 0.002
LAST_ROUND_S = 0.2
STOP_POLL_S = 0.02


prctl = ctypes.CDLL(None).prctl


def report(line):
    try:
        os.write(AGENT, line.encode() + b"\n")
    except OSError:
        pass  # The agent is gone.


def begin():
    try:
        return os.fork()
    except OSError as error:
        report(f"failed {error.strerror}")
        os._exit(NO_RESOURCES)


def run(command):
    """A command, in a session of its own. Variables that would disturb this program get their names back."""
    os.setsid()
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    # Python ignores it, and an ignored signal stays ignored.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    environment = {name.removeprefix(KEPT): value for name, value in os.environb.items()}
    try:
        os.execvpe(command[0], command, environment)
    except OSError:
        os._exit(NOT_EXECUTABLE)


def leave_output():
    """Holds none of the descriptors that the command got: a reader sees when the command has closed them."""
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 1)
    os.dup2(nothing, 2)
    try:
        os.close(CHANNEL)
    except OSError:
        pass  # There is none.


class Processes:
    """The children of this process, with all that became its children by losing their parents."""

    def __init__(self, leader=None):
        self.leader = leader

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
                report(f"exited {status >> 8} {status & 127}")

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


def guard(inner):
    """The outer process."""
    os.close(AGENT)
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


def supervise(outer, leader, stop_command, limit):
    """The inner process."""
    # First, since the descriptors are numbers here: those that are opened later may get the same.
    leave_output()
    # The handlers do nothing: the numbers arrive at the other end of this pipe, so that no end is missed.
    noticed, notice = os.pipe()
    os.set_blocking(notice, False)
    os.set_blocking(noticed, False)
    signal.set_wakeup_fd(notice)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGTERM, lambda *_: None)
    report(f"started {leader}")
    prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    processes = Processes(leader)
    over = os.getppid() != outer
    lines = b""
    while not over:
        processes.reap()
        ready = select.select([AGENT, noticed], [], [])[0]
        if noticed in ready:
            over = signal.SIGTERM in os.read(noticed, 4096)
        if AGENT in ready:
            received = read_agent()
            if received == b"":
                stop(stop_command, limit)
                over = True
            *complete, lines = (lines + received).split(b"\n")
            for line in complete:
                if line.startswith(b"signal "):
                    processes.signal(int(line[7:]))
                else:
                    over = True
    processes.end()
    os._exit(0)


def read_agent():
    try:
        return os.read(AGENT, 4096)
    except OSError:
        return b""


def main(limit, count, *words):
    stop_command, command = words[: int(count)], words[int(count) :]
    # The agent's descriptor is none of the command's.
    os.set_inheritable(AGENT, False)
    outer = os.getpid()
    # Before each fork: the command may fork away at once.
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    inner = begin()
    if inner != 0:
        guard(inner)
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    leader = begin()
    if leader == 0:
        run(command)
    supervise(outer, leader, stop_command, float(limit))


main(*sys.argv[3:])

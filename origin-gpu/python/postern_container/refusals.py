"""Ends a container's process over a mistake of its user, in one line that says what would be right."""

import importlib
import os
import sys
import traceback

OWN_FOLDER = os.path.dirname(os.path.abspath(__file__)) + os.sep


def refuse(message):
    """Ends the process with one line."""
    print("postern: " + message, file=sys.stderr, flush=True)
    sys.exit(1)


def refuse_user_error(message, error):
    """As refuse, for an exception in the user's code: with its traceback, without the frames up to it."""
    frames = error.__traceback__
    while frames is not None and is_ours(frames.tb_frame.f_code.co_filename):
        frames = frames.tb_next
    traceback.print_exception(type(error), error, frames)
    refuse("{}: {}".format(message, reason_of(error)))


def reason_of(error):
    """An exception in one line: its other lines stand in the traceback."""
    reason = str(error).strip().partition("\n")[0].rstrip()
    return "{}: {}".format(type(error).__name__, reason)


def is_ours(filename):
    if filename.startswith("<frozen importlib") or filename == importlib.__file__:
        return True
    return os.path.abspath(filename).startswith(OWN_FOLDER)


def refuse_missing(package, requirement):
    """Ends the process: the user's environment lacks a package that the endpoint's kind needs."""
    refuse("{} is not installed: run {} -m pip install '{}'".format(package, sys.executable, requirement))

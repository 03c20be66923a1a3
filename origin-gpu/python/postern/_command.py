"""The command `postern`, for what a program does by it: it serves an app, deploys it, forwards a port."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .exception import ExecutionError, NotFoundError

#: Seconds that a command has to end what it began; then it is killed.
_END_SECONDS = 60

#: Tells `postern run` to run nothing but to say where the app is, until its stdin ends.
HOLD = "POSTERN_RUN_HOLD"

#: Where the gateway's state is, of a command that began this program.
STATE_VARIABLE = "POSTERN_COMMAND_STATE"


def command_words() -> list[str]:
    """The command of the clone that this package lies in, else the one on PATH. @throws NotFoundError"""
    script = Path(__file__).resolve().parents[3] / "cli" / "postern.js"
    node = shutil.which("node")
    if script.is_file() and node is not None:
        return [node, str(script)]
    found = shutil.which("postern")
    if found is None:
        raise NotFoundError("the command postern is not on PATH, and this package lies in no clone of it")
    return [found]


def _words_of(name: str, options: Sequence[str]) -> list[str]:
    state = os.environ.get(STATE_VARIABLE)
    return [*command_words(), name, *(["--state", state] if state else []), *options]


def _variables() -> dict[str, str]:
    """The command reads files by the Python that runs this program."""
    own = {} if sys.prefix == sys.base_prefix else {"VIRTUAL_ENV": sys.prefix}
    return {**os.environ, **own}


def run_command(name: str, *options: str) -> None:
    """Runs a command to its end. @throws ExecutionError for any exit code but 0"""
    code = subprocess.run(_words_of(name, options), env=_variables(), check=False).returncode
    if code != 0:
        raise ExecutionError(f"postern {name} ended with exit code {code}")


@contextmanager
def running_command(name: str, *options: str, variables: Mapping[str, str] | None = None) -> Iterator[dict[str, Any]]:
    """A command that runs for as long as the block, and the JSON line that it begins with. @throws ExecutionError"""
    process = subprocess.Popen(
        _words_of(name, options),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**_variables(), **(variables or {})},
        # A terminal's Ctrl-C is this program's, which ends the command itself.
        start_new_session=True,
    )
    assert process.stdin is not None and process.stdout is not None
    try:
        line = process.stdout.readline()
        if line == "":
            raise ExecutionError(f"postern {name} ended with exit code {process.wait()}")
        yield json.loads(line)
    finally:
        process.stdin.close()
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        try:
            process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()

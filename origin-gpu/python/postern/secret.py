"""Variables for containers that are no part of the code."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from ._absent import Absent
from ._location import notice, refuse
from ._runtime import is_local


class Secret:
    """Environment variables for the containers of a function: a named secret of the environment, or values of this file."""

    def __init__(self, *, name: str | None = None, values: Mapping[str, str] | None = None) -> None:
        self._name = name
        self._values = dict(values or {})

    @property
    def name(self) -> str | None:
        """The secret's name; None for one that was made here."""
        return self._name

    @property
    def values(self) -> dict[str, str]:
        """The variables of one that was made here."""
        return dict(self._values)

    @staticmethod
    def from_name(
        name: str,
        *,
        environment_name: str | None = None,
        required_keys: Sequence[str] = (),
    ) -> Secret:
        """The secret that `postern secret create` made. The box gets its variables when a container starts.

        `required_keys` are looked for when a container of the function starts.
        """
        if environment_name is not None:
            notice(f"environment_name={environment_name!r} has no effect: secret {name} comes from the app's own environment")
        secret = Secret(name=name)
        secret.required_keys = tuple(required_keys)
        return secret

    required_keys: tuple[str, ...] = ()

    objects = Absent("use postern secret")
    lookup = Absent("it is called Secret.from_name")
    info = Absent("use postern secret list")

    @staticmethod
    def from_dict(env_dict: Mapping[str, str | None] | None = None) -> Secret:
        """Variables of this dict. They stand in the app's configuration; prefer `from_name` for what is confidential."""
        values = {}
        for name, value in (env_dict or {}).items():
            if value is None:
                continue
            if not isinstance(value, str):
                refuse(f"Secret.from_dict: {name} must be text, and is {value!r}")
                continue
            values[name] = value
        return Secret(values=values)

    @staticmethod
    def from_local_environ(env_keys: Sequence[str]) -> Secret:
        """These variables of the environment in which the app is served or deployed."""
        if not is_local():
            return Secret()
        missing = [name for name in env_keys if name not in os.environ]
        if missing:
            refuse(f"Secret.from_local_environ: {', '.join(missing)} is not set here")
        return Secret(values={name: os.environ[name] for name in env_keys if name in os.environ})

    @staticmethod
    def from_dotenv(path: str | os.PathLike[str] | None = None, *, filename: str = ".env") -> Secret:
        """The variables of a `.env` file, looked for from `path` (or the working directory) upwards."""
        if not is_local():
            return Secret()
        start = Path(path or os.getcwd()).resolve()
        for directory in (start, *start.parents):
            file = directory / filename
            if file.is_file():
                return Secret(values=_parse_dotenv(file.read_text(encoding="utf-8")))
        refuse(f"Secret.from_dotenv: there is no {filename} in {start} or above it")
        return Secret()


def _parse_dotenv(text: str) -> dict[str, str]:
    values = {}
    for line in text.splitlines():
        line = line.strip()
        if line == "" or line.startswith("#"):
            continue
        name, equals, value = line.removeprefix("export ").partition("=")
        if equals == "":
            continue
        value = value.strip()
        if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"":
            value = value[1:-1] if value[0] == "'" else value[1:-1].replace("\\n", "\n").replace('\\"', '"')
        else:
            value = value.partition(" #")[0].rstrip()
        values[name.strip()] = value
    return values

"""Schedules, which Postern does not have: a timer of the system calls a function's URL instead."""

from __future__ import annotations

from typing import Any

from ._location import refuse
from .exception import NotSupportedError

_INSTEAD = (
    "Postern runs nothing by the clock: let cron or a systemd timer call `postern run` or the function's URL"
)


class Period:
    """Refused; the message says what there is instead."""

    def __init__(self, **_every: Any) -> None:
        refuse(f"modal.Period is not supported: {_INSTEAD}", NotSupportedError)


class Cron:
    """Refused; the message says what there is instead."""

    def __init__(self, cron_string: str = "", timezone: str = "UTC") -> None:
        del cron_string, timezone
        refuse(f"modal.Cron is not supported: {_INSTEAD}", NotSupportedError)

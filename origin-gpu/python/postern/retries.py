"""How often a failed call is run again."""

from __future__ import annotations

from dataclasses import dataclass

from ._location import refuse


@dataclass(frozen=True)
class Retries:
    """Runs a call again that raised an exception, or whose container died.

    Delays are seconds. The first one is `initial_delay`; each next one is longer by `backoff_coefficient`, up to
    `max_delay`.
    """

    max_retries: int
    backoff_coefficient: float = 2.0
    initial_delay: float = 1.0
    max_delay: float = 60.0

    def __post_init__(self) -> None:
        if isinstance(self.max_retries, bool) or not isinstance(self.max_retries, int) or not 0 <= self.max_retries <= 10:
            refuse(f"max_retries must be a whole number from 0 to 10, and is {self.max_retries!r}")
        for name, least, most in (("backoff_coefficient", 1, 10), ("initial_delay", 0, 60), ("max_delay", 1, 60)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value <= most:
                refuse(f"{name} must be a number from {least} to {most}, and is {value!r}")

    def delay(self, attempt: int) -> float:
        """Seconds before a run. @param attempt 1 for the first one after a failure"""
        return min(self.max_delay, self.initial_delay * self.backoff_coefficient ** (attempt - 1))


def retries_of(given: int | Retries | None) -> Retries | None:
    """A number alone waits a second before each run."""
    if given is None or isinstance(given, Retries):
        return given
    return Retries(max_retries=given, backoff_coefficient=1.0)

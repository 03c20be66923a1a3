"""Functions and classes with other options: each has containers of its own, beside those of its decorator.

A container is started for an endpoint of the app, and an app's endpoints are described once. So the app's file makes
each variant outside of its functions. Its name is a digest of what it changes: code that asks for the same finds it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from . import exception
from ._options import SKIPPED
from ._partial import Batching, Concurrency, Traits
from .retries import Retries
from .secret import Secret
from .volume import Volume

#: What Modal's `with_options` takes.
_OPTIONS = (
    "cpu",
    "memory",
    "gpu",
    "env",
    "secrets",
    "volumes",
    "retries",
    "min_containers",
    "max_containers",
    "buffer_containers",
    "scaledown_window",
    "timeout",
    "region",
    "cloud",
)

_DIGEST_LETTERS = 8


@dataclass(frozen=True)
class Changes:
    """What a variant has instead of its decorators' words."""

    options: Mapping[str, Any] = field(default_factory=dict)
    concurrency: Concurrency | None = None
    batching: Batching | None = None

    def with_options(self, options: Mapping[str, Any]) -> Changes:
        """None changes nothing, and a later value takes the place of an earlier one. @throws TypeError"""
        unknown = [name for name in options if name not in _OPTIONS]
        if unknown:
            raise TypeError(f"with_options has no argument {', '.join(unknown)}; it has {', '.join(_OPTIONS)}")
        given = {name: value for name, value in options.items() if value is not None}
        return replace(self, options={**self.options, **given})

    def with_concurrency(self, max_inputs: int, target_inputs: int | None) -> Changes:
        return replace(self, concurrency=Concurrency(max_inputs, target_inputs))

    def with_batching(self, max_batch_size: int, wait_ms: int) -> Changes:
        return replace(self, batching=Batching(max_batch_size, wait_ms))

    def pool_of(self, name: str) -> str:
        """The variant's name; the unchanged one's where nothing of this has an effect here."""
        options = {name: value for name, value in self.options.items() if name not in SKIPPED}
        words = [options, self.concurrency and asdict(self.concurrency), self.batching and asdict(self.batching)]
        if words == [{}, None, None]:
            return name
        text = json.dumps(words, sort_keys=True, separators=(",", ":"), default=_words)
        return f"{name}_with_{hashlib.sha256(text.encode()).hexdigest()[:_DIGEST_LETTERS]}"

    def traits_of(self, traits: Traits) -> Traits:
        """What the function's decorators would have said."""
        return replace(
            traits,
            concurrency=self.concurrency or traits.concurrency,
            batching=self.batching or traits.batching,
        )


def _words(value: Any) -> Any:
    """What another process makes of the same code, for the digest."""
    if isinstance(value, Secret):
        if value.name is None:
            raise exception.InvalidError("with_options: give it secrets by Secret.from_name, and values by env")
        return value.name
    if isinstance(value, Volume):
        return value.name
    if isinstance(value, Retries):
        return asdict(value)
    return getattr(value, "postern_gpu", None) or str(value)


def undescribed(name: str, pool: str) -> exception.NotSupportedError:
    """What a caller of a variant is told that the app does not have."""
    return exception.NotSupportedError(
        f"{name}: the app has no containers with these options ({pool}). Make them outside of functions, in the app's file, "
        f"as in Other = {name.partition('.')[0]}.with_options(…): they are started for what the file describes"
    )

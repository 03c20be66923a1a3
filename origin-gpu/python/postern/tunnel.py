"""Ports of a container as public URLs, which Postern does not have in this form."""

from __future__ import annotations

from contextlib import contextmanager
from typing import Any
from collections.abc import Iterator

from .exception import NotSupportedError


@contextmanager
def forward(port: int, *, unencrypted: bool = False, h2_enabled: bool = False, client: Any = None) -> Iterator[Any]:
    """Refused; the message says what there is instead."""
    del unencrypted, h2_enabled, client
    raise NotSupportedError(
        f"modal.forward({port}) is not supported: serve the port by @web_server({port}), which has a URL of its own"
    )
    yield

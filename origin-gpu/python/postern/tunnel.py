"""Ports of a container as public URLs, for as long as a block runs."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from ._both import in_thread
from ._command import running_command
from ._runtime import is_local
from .exception import ExecutionError, InvalidError, NotSupportedError


@dataclass(frozen=True)
class Tunnel:
    """A port's public URL. HTTP and WebSockets pass it, and whoever knows it may use it."""

    url: str

    @property
    def host(self) -> str:
        """The URL's host."""
        return urlsplit(self.url).hostname or ""

    @property
    def port(self) -> int:
        """The URL's port."""
        parts = urlsplit(self.url)
        return parts.port or (443 if parts.scheme == "https" else 80)

    @property
    def tls_socket(self) -> tuple[str, int]:
        """Host and port of the URL. The gateway speaks HTTP there, over TLS where the URL is one of https."""
        return self.host, self.port

    @property
    def tcp_socket(self) -> tuple[str, int]:
        """Refused: a gateway has one address for all names, and tells them apart by HTTP."""
        raise InvalidError(_NO_TCP)


_NO_TCP = "a tunnel carries HTTP and WebSockets alone: bring a protocol such as SSH into a WebSocket, or use a VPN"


class forward:  # noqa: N801
    """Gives a port of this container a public URL that nobody can guess, until the block ends.

        with postern.forward(8000) as tunnel:
            print(tunnel.url)

    `async with` waits without blocking the event loop. In a program that is no container it is a port of this machine.
    """

    def __init__(
        self, port: int, *, unencrypted: bool = False, h2_enabled: bool = False, client: Any = None
    ) -> None:
        del client
        if isinstance(port, bool) or not isinstance(port, int) or not 0 < port < 65_536:
            raise InvalidError(f"forward needs a port from 1 to 65535, such as forward(8000), and got {port!r}")
        if unencrypted:
            raise NotSupportedError(f"forward(unencrypted=True) is not supported: {_NO_TCP}")
        if h2_enabled:
            raise NotSupportedError("forward(h2_enabled=True) is not supported: the server gets HTTP/1.1")
        self._opened = _opened_locally(port) if is_local() else _opened_by_agent(port)

    def __enter__(self) -> Tunnel:
        return self._opened.__enter__()

    def __exit__(self, *error: Any) -> None:
        self._opened.__exit__(*error)

    async def __aenter__(self) -> Tunnel:
        return await in_thread(self._opened.__enter__)

    async def __aexit__(self, *error: Any) -> None:
        await in_thread(self._opened.__exit__, *error)


@contextmanager
def _opened_locally(port: int) -> Iterator[Tunnel]:
    with running_command("forward", str(port), "--open", "--json") as opened:
        yield Tunnel(opened["url"])


@contextmanager
def _opened_by_agent(port: int) -> Iterator[Tunnel]:
    # The container's server has it. That is another package, which no program of its own has.
    container = sys.modules.get("postern_container.tunnels")
    tunnels: Any = None if container is None else container.of_container
    if tunnels is None:
        raise InvalidError(
            "forward is for functions of a container, in its own process: not for one that it starts, and not while the "
            "file is imported or a @web_server starts, which has a URL of its own"
        )
    try:
        number, url = tunnels.open(port)
    except RuntimeError as error:
        raise ExecutionError(f"forward({port}): {error}") from error
    try:
        yield Tunnel(url)
    finally:
        tunnels.close(number)

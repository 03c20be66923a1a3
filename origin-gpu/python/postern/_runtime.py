"""Where this process is: in a container of Postern, or at its author's; and which call it works on."""

from __future__ import annotations

import contextvars
import json
import os
from dataclasses import dataclass


def is_local() -> bool:
    """Whether this is not a container: true where the app is described, deployed, or its local entrypoint runs."""
    return "POSTERN_CONTAINER_ID" not in os.environ


@dataclass(frozen=True)
class Surrounding:
    """The app whose functions this process can call without asking the gateway."""

    app: str
    environment: str
    #: By function, endpoints as clients know them.
    urls: dict[str, str]
    #: Opens them: the app's own token.
    token: str


def surrounding() -> Surrounding | None:
    """None for a program of its own, which is no container and was not started by `postern run`."""
    urls = os.environ.get("POSTERN_PUBLIC_URLS")
    app = os.environ.get("POSTERN_APP")
    if urls is None or app is None:
        return None
    token = os.environ.get("POSTERN_APP_TOKEN", "")
    return Surrounding(app, os.environ.get("POSTERN_ENVIRONMENT", "main"), json.loads(urls), token)


#: Id of the call that a function of this container works on.
CURRENT_CALL: contextvars.ContextVar[str | None] = contextvars.ContextVar("postern_call", default=None)

#: Whether this container wants no more calls.
_draining = False


def current_function_call_id() -> str | None:
    """The id of the call that this code works on, `fc-…`; None outside of one."""
    call = CURRENT_CALL.get()
    return None if call is None else f"fc-{call}"


def current_input_id() -> str | None:
    """The id of the input that this code works on, `in-…`; None outside of one. It finds the call in the box's log."""
    call = CURRENT_CALL.get()
    return None if call is None else f"in-{call}"


def stop_fetching_inputs() -> None:
    """Gives this container no more calls: it finishes those that it has, and another one takes its place."""
    global _draining
    _draining = True


def is_draining() -> bool:
    """Whether `stop_fetching_inputs` was called."""
    return _draining

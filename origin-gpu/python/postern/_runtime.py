"""Where this process is: in a container of Postern, or at its author's; and which call it works on."""

from __future__ import annotations

import base64
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


@dataclass(frozen=True)
class CallPlace:
    """A call, and all that is needed to find it again."""

    app: str
    environment: str
    #: Whose containers run it.
    function: str
    #: As in messages: the function, or a method of a class.
    name: str
    box: str
    call: str

    @property
    def object_id(self) -> str:
        """One text of it: the same at the caller's and in the function. No secret: it opens nothing by itself."""
        parts = [self.app, self.environment, self.function, self.name, self.box, self.call]
        text = json.dumps(parts, separators=(",", ":"))
        return CALL_PREFIX + base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


#: Begins the id of a call.
CALL_PREFIX = "fc-"

#: The call that a function of this container works on.
CURRENT_CALL: contextvars.ContextVar[CallPlace | None] = contextvars.ContextVar("postern_call", default=None)

#: Whether this container wants no more calls.
_draining = False


def current_function_call_id() -> str | None:
    """The id of the call that this code works on, `fc-…`, which `FunctionCall.from_id` takes; None outside of one."""
    call = CURRENT_CALL.get()
    return None if call is None else call.object_id


def current_input_id() -> str | None:
    """The id of the input that this code works on, `in-…`; None outside of one. It finds the call in the box's log."""
    call = CURRENT_CALL.get()
    return None if call is None else f"in-{call.call}"


def stop_fetching_inputs() -> None:
    """Gives this container no more calls: it finishes those that it has, and another one takes its place."""
    global _draining
    _draining = True


def is_draining() -> bool:
    """Whether `stop_fetching_inputs` was called."""
    return _draining

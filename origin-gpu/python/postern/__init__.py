"""Apps in Python for Postern: functions and classes that are served to the web, and called in containers of your boxes.

    import postern

    app = postern.App("hello")

    @app.function()
    @postern.fastapi_endpoint()
    def hello(name: str = "world"):
        return f"Hello, {name}"

`postern serve app.py` serves it from this machine, `postern deploy app.py` keeps it there. The names are those of
Modal's package, so that `import postern as modal` runs its apps; docs/python.md has a table of what differs.
"""

import contextlib

from . import call_graph, exception, experimental
from ._absent import absent
from ._partial import (
    asgi_app,
    batched,
    concurrent,
    enter,
    exit,
    fastapi_endpoint,
    method,
    web_endpoint,
    web_server,
    wsgi_app,
)
from ._runtime import current_function_call_id, current_input_id, is_local, stop_fetching_inputs
from .app import App, Stub
from .cls import Cls, parameter
from .dict import Dict
from .file_pattern_matcher import FilePatternMatcher
from .functions import Function, FunctionCall
from .image import Image
from .queue import Queue
from .retries import Retries
from .schedule import Cron, Period
from .secret import Secret
from .tunnel import Tunnel, forward
from .volume import Volume

__version__ = "0.1.0"

Error = exception.Error

__all__ = [
    "App",
    "Cls",
    "Cron",
    "Dict",
    "Error",
    "FilePatternMatcher",
    "Function",
    "FunctionCall",
    "Image",
    "Period",
    "Queue",
    "Retries",
    "Secret",
    "Stub",
    "Tunnel",
    "Volume",
    "asgi_app",
    "batched",
    "call_graph",
    "concurrent",
    "current_function_call_id",
    "current_input_id",
    "enter",
    "exception",
    "experimental",
    "exit",
    "enable_output",
    "fastapi_endpoint",
    "forward",
    "is_local",
    "method",
    "parameter",
    "stop_fetching_inputs",
    "web_endpoint",
    "web_server",
    "wsgi_app",
]


#: What others call by these names, and what is there instead.
_INSTEAD = {
    "Sandbox": "run the command in a function",
    "CloudBucketMount": "mount the bucket on the box, and use its path",
    "NetworkFileSystem": "use a Volume",
    "Mount": "files beside the app's file are a part of it",
    "Proxy": "containers use the box's own network",
    "Client": "the gateway is POSTERN_URL, or that of the active profile",
    "gpu": 'name the kind, as in gpu="H100:2"',
    "build": "use enter",
    "interact": "run the code in a terminal of the box",
    "asgi_server": "use asgi_app",
    "Workspace": "use the command postern",
    "Environment": "use postern environment",
    "SandboxSnapshot": "run the command in a function",
    "config": "use postern profile, and the variables POSTERN_URL, POSTERN_TOKEN_ID and POSTERN_TOKEN_SECRET",
    "billing": "boxes of your own cost what they cost",
    "container_process": "run the command in a function, by subprocess",
    "io_streams": "run the command in a function, by subprocess",
    "stream_type": "run the command in a function, by subprocess",
    "file_io": "open files by Python's open",
    "runner": "use app.run() and app.deploy()",
}


def __getattr__(name: str) -> object:
    raise absent("postern", name, _INSTEAD)


def enable_output(show_progress: bool = True) -> contextlib.AbstractContextManager[None]:
    """Nothing to do: the command prints what containers print."""
    del show_progress
    return contextlib.nullcontext()

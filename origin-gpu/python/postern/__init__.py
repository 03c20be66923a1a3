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

from . import call_graph, exception
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
from .functions import Function, FunctionCall
from .image import Image
from .retries import Retries
from .schedule import Cron, Period
from .secret import Secret

__version__ = "0.1.0"

Error = exception.Error

__all__ = [
    "App",
    "Cls",
    "Cron",
    "Error",
    "Function",
    "FunctionCall",
    "Image",
    "Period",
    "Retries",
    "Secret",
    "Stub",
    "asgi_app",
    "batched",
    "call_graph",
    "concurrent",
    "current_function_call_id",
    "current_input_id",
    "enter",
    "exception",
    "exit",
    "fastapi_endpoint",
    "is_local",
    "method",
    "parameter",
    "stop_fetching_inputs",
    "web_endpoint",
    "web_server",
    "wsgi_app",
]

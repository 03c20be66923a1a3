"""The values that a container's class is made with, as the agent gives them. The agent has checked their types."""

import base64
import json
import os


def from_environment(types):
    """Values by name, of the variable POSTERN_PARAMETERS. types: "NAME:TYPE" for each, since JSON knows no bytes."""
    values = json.loads(os.environ.get("POSTERN_PARAMETERS", "{}"))
    for name, _, kind in (each.partition(":") for each in types):
        if kind == "bytes":
            values[name] = base64.b64decode(values[name])
    return values

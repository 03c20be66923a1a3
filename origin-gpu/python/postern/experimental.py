"""What Modal's package has in `modal.experimental`: two names are here, each other one says what there is instead."""

from __future__ import annotations

from ._absent import absent
from ._partial import http_server
from ._runtime import stop_fetching_inputs

__all__ = ["http_server", "stop_fetching_inputs"]

_INSTEAD = {
    "clustered": "a function runs in one container, on one box",
    "get_cluster_info": "a function runs in one container, on one box",
    "raw_registry_image": "the box's own system is used; Image.from_registry takes its Python version",
    "image_delete": "there are no images",
    "list_deployed_apps": "run postern app list",
    "update_autoscaler": "use Function.update_autoscaler",
    "ipython": "run the code in a terminal of the box",
}


def __getattr__(name: str) -> object:
    raise absent("postern.experimental", name, _INSTEAD)

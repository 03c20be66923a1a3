"""The arguments of `@app.function` and `@app.cls`, as keys of postern.toml. One table has what becomes of each argument."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ._location import Place, notice, refuse
from .exception import NotSupportedError
from .retries import Retries, retries_of

#: Containers of a function that says no number. A box has few cores, and each container is a process.
DEFAULT_MAX_CONTAINERS = 8

#: A call whose container died is run again so often where the code says nothing.
DEFAULT_CRASH_RETRIES = 3

Table = dict[str, Any]

#: Arguments that are keys of postern.toml as they are.
_SAME = ("timeout", "startup_timeout", "min_containers", "max_containers", "buffer_containers", "scaledown_window")

#: Arguments that were renamed, with today's name.
_RENAMED = {
    "keep_warm": "min_containers",
    "concurrency_limit": "max_containers",
    "container_idle_timeout": "scaledown_window",
    "allow_concurrent_inputs": "the decorator @concurrent(max_inputs=…)",
    "max_inputs": "the decorator @concurrent(max_inputs=…), and one in a container's life is single_use_containers=True",
    "_experimental_buffer_containers": "buffer_containers",
}

#: Arguments that change nothing on a box of one's own; each is said once.
SKIPPED = {
    "cpu": "containers of a box share its processors, and none is reserved",
    "memory": "containers of a box share its memory, and none is reserved",
    "ephemeral_disk": "containers write to the box's own disk",
    "cloud": "an app runs on your boxes",
    "nonpreemptible": "no container is preempted",
    "enable_memory_snapshot": "containers start without snapshots",
    "i6pn": "containers use the box's own network",
    "experimental_options": "there are none",
    "_experimental_custom_scaling_factor": "there is none",
    "_experimental_scheduler_placement": "use region, or boxes in postern",
}

#: Arguments that would promise what a box does not keep.
_REFUSED = {
    "schedule": "Postern runs nothing by the clock: let cron or a systemd timer call `postern run` or the function's URL",
    "network_file_systems": "use volumes, or a path of the box",
    "proxy": "containers use the box's own network",
    "block_network": "containers use the box's own network; run the agent in a namespace of its own",
    "restrict_modal_access": "leave out what the container is not to have; its app token opens its own app alone",
    "_experimental_proxy_ip": "containers use the box's own network",
    "_experimental_restrict_output": "results are pickled",
}

#: Arguments that other modules handle.
HANDLED_ELSEWHERE = (
    "image",
    "env",
    "secrets",
    "volumes",
    "name",
    "is_generator",
    "serialized",
    "include_source",
    "single_use_containers",
)

_KNOWN = (
    *_SAME,
    "gpu",
    "retries",
    "region",
    "postern",
    *HANDLED_ELSEWHERE,
)


def table_of(options: Mapping[str, Any], where: str, place: Place) -> Table:
    """Returns the keys that arguments become; reports those that are unknown or impossible here.

    `where` is the function's name and `place` its line, for messages.
    """
    table: Table = {}
    for name, value in options.items():
        if name in HANDLED_ELSEWHERE or name == "postern":
            continue
        if name in _SAME:
            if value is not None:
                table[name] = value
        elif name in _CONVERTED:
            _CONVERTED[name](value, table, place)
        elif name in _RENAMED:
            if value is not None:
                refuse(f"{where}: {name} is called {_RENAMED[name]}", place=place)
        elif name in SKIPPED:
            if value not in (None, False, {}):
                notice(f"{name} has no effect: {SKIPPED[name]}", place)
        elif name in _REFUSED:
            if value not in (None, False, {}):
                refuse(f"{where}: {name} is not supported: {_REFUSED[name]}", NotSupportedError, place)
        else:
            refuse(f"{where}: unknown argument {name}; known are {', '.join(_KNOWN)}", place=place)
    own = options.get("postern") or {}
    if isinstance(own, Mapping):
        table.update(own)
    else:
        refuse(f"{where}: postern must be a dict of keys of postern.toml, and is {own!r}", place=place)
    _max_containers(table)
    return table


def _max_containers(table: Table) -> None:
    least = table.get("min_containers", 0)
    default = max(DEFAULT_MAX_CONTAINERS, least) if isinstance(least, int) else DEFAULT_MAX_CONTAINERS
    table.setdefault("max_containers", default)


def _gpu(value: Any, table: Table, place: Place) -> None:
    if value is None or value is False:
        return
    choices = value if isinstance(value, (list, tuple)) else [value]
    words: list[str] = []
    for choice in choices:
        text = choice if isinstance(choice, str) else getattr(choice, "postern_gpu", None)
        if text is None:
            refuse(f'gpu must be a kind of GPU, such as "H100:2" or "any", or a list of these, and is {choice!r}', place=place)
            continue
        # "H100!" asks for no other kind than H100, which is what a kind means here.
        words.append(text.replace("!", ""))
    if words:
        table["gpus"] = words if isinstance(value, (list, tuple)) else words[0]


def _retries(value: Any, table: Table, place: Place) -> None:
    """A dead container's call is run again; an exception is retried inside of the container (postern_container)."""
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, (int, Retries)):
        refuse(f"retries must be a whole number or modal.Retries(...), and is {value!r}", place=place)
        return
    policy = retries_of(value)
    if policy is not None:
        table["retries"] = {
            "max_retries": policy.max_retries,
            "initial_delay": min(policy.initial_delay, policy.max_delay),
            "backoff_coefficient": policy.backoff_coefficient,
            "max_delay": policy.max_delay,
        }


def _region(value: Any, table: Table, _place: Place) -> None:
    if value is not None:
        table["region"] = [value] if isinstance(value, str) else list(value)


_CONVERTED: dict[str, Callable[[Any, Table, Place], None]] = {"gpu": _gpu, "retries": _retries, "region": _region}

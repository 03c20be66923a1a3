"""What became of a call, for those who ask without waiting."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field


class InputStatus(enum.IntEnum):
    """The state of a call."""

    PENDING = 0
    SUCCESS = 1
    FAILURE = 2
    INIT_FAILURE = 3
    TERMINATED = 4
    TIMEOUT = 5


@dataclass
class InputInfo:
    """A call and those that it made. Postern knows a call by itself: the graph is one call below a root."""

    input_id: str
    function_call_id: str
    task_id: str
    status: InputStatus
    function_name: str
    module_name: str
    children: list[InputInfo] = field(default_factory=list)

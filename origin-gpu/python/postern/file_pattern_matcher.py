"""Patterns of paths in the manner of a .dockerignore, as `ignore` of `Image.add_local_dir` takes them."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from ._absent import Absent


class FilePatternMatcher:
    """Whether a path matches: `*` and `?` within a name, `**` across directories, `!` takes back.

    The last pattern that matches decides. A pattern that matches a directory matches all in it.
    """

    def __init__(self, *pattern: str) -> None:
        self._rules = [_rule_of(each) for each in pattern if each.strip() != ""]

    @classmethod
    def from_file(cls, file_path: str | Path) -> FilePatternMatcher:
        """The patterns of a file: one in each line, and comments after `#`."""
        lines = Path(file_path).read_text(encoding="utf-8").splitlines()
        return cls(*(line for line in lines if not line.startswith("#")))

    def __call__(self, file_path: Path) -> bool:
        parts = Path(file_path).as_posix().strip("/").split("/")
        # The path itself, and each directory above it.
        paths = ["/".join(parts[:count]) for count in range(1, len(parts) + 1)]
        matches = False
        for expression, takes_back in self._rules:
            if any(expression.fullmatch(path) for path in paths):
                matches = not takes_back
        return matches

    def __invert__(self) -> Callable[[Path], bool]:
        """What this one does not match."""
        return lambda file_path: not self(file_path)

    can_prune_directories = Absent("call it with a path")


def _rule_of(pattern: str) -> tuple[re.Pattern[str], bool]:
    text = pattern.strip()
    takes_back = text.startswith("!")
    words = re.split(r"(\*\*/|/\*\*$|\*\*|\*|\?|\[[^\]]+\])", text.removeprefix("!").strip().strip("/"))
    return re.compile("".join(_expression(word) for word in words)), takes_back


def _expression(word: str) -> str:
    known = {"**/": "(?:.*/)?", "/**": "(?:/.*)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    if word in known:
        return known[word]
    if word.startswith("[") and word.endswith("]"):
        return "[" + word[1:-1].replace("\\", "\\\\") + "]"
    return re.escape(word)

"""Directories that outlive containers, on one box."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import _data
from ._absent import Absent
from .exception import NotFoundError, NotSupportedError


@dataclass(frozen=True)
class FileEntry:
    """A file or directory of a volume."""

    path: str
    type: str
    mtime: int
    size: int


class Volume:
    """A directory of the box by name. Containers that mount it see each other's writes at once."""

    def __init__(self, name: str, create: bool) -> None:
        self.name = _data.checked_name(name, "Volume")
        self._create = create

    @staticmethod
    def from_name(
        name: str,
        *,
        environment_name: str | None = None,
        create_if_missing: bool = False,
        version: Any = None,
        client: Any = None,
    ) -> Volume:
        """A volume of the app's environment; it is looked for at its first use."""
        del environment_name, version, client
        return Volume(name, create_if_missing)

    @staticmethod
    @contextmanager
    def ephemeral(**options: Any) -> Iterator[Volume]:
        """A volume that goes with the block."""
        del options
        made = Volume(f"ephemeral-{uuid.uuid4().hex}", True)
        try:
            yield made
        finally:
            shutil.rmtree(made.directory, ignore_errors=True)

    @property
    def directory(self) -> Path:
        """Where it is on the box. @throws NotFoundError"""
        path = _data.directory("a Volume") / "volumes" / self.name
        if self._create:
            path.mkdir(parents=True, exist_ok=True)
        elif not path.is_dir():
            raise NotFoundError(f"there is no Volume {self.name} on this box: create_if_missing=True makes it")
        return path

    objects = Absent("use Volume.from_name(name, create_if_missing=True)")
    lookup = Absent("it is called Volume.from_name")
    delete = Absent("remove its directory on the box, data/env-<environment>/volumes/<name> of the agent's state directory")
    rename = Absent("rename its directory on the box, data/env-<environment>/volumes/<name> of the agent's state directory")
    copy_files = Absent("copy them by shutil, where the volume is mounted")

    def hydrate(self, client: Any = None) -> Volume:
        """Looks for it now. @throws NotFoundError"""
        del client
        _ = self.directory
        return self

    def commit(self) -> None:
        """Nothing to do: a write is there at once."""

    def reload(self) -> None:
        """Nothing to do: others' writes are there at once."""

    def iterdir(self, path: str = "/", *, recursive: bool = True) -> Iterator[FileEntry]:
        """Its files and directories below a path."""
        root = self.directory
        start = self._inside(path)
        for each in sorted(start.rglob("*") if recursive else start.iterdir()):
            stat = each.stat()
            kind = "directory" if each.is_dir() else "file"
            yield FileEntry(each.relative_to(root).as_posix(), kind, int(stat.st_mtime), stat.st_size)

    def listdir(self, path: str = "/", *, recursive: bool = False) -> list[FileEntry]:
        """The same as a list."""
        return list(self.iterdir(path, recursive=recursive))

    def read_file(self, path: str) -> Iterator[bytes]:
        """A file's bytes, in pieces. @throws FileNotFoundError"""
        with open(self._inside(path), "rb") as file:
            while chunk := file.read(1024 * 1024):
                yield chunk

    def remove_file(self, path: str, recursive: bool = False) -> None:
        """Removes a file, or with `recursive` a directory. @throws FileNotFoundError"""
        inside = self._inside(path)
        if inside.is_dir() and recursive:
            shutil.rmtree(inside)
        else:
            inside.unlink()

    def read_only(self) -> Volume:
        """The same volume: Postern does not keep containers from writing to it."""
        return self

    def batch_upload(self, force: bool = False) -> Any:
        """Refused."""
        del force
        raise NotSupportedError(f"batch_upload: copy the files to {self.directory} on the box")

    def _inside(self, path: str) -> Path:
        root = self.directory.resolve()
        inside = (root / path.lstrip("/")).resolve()
        if inside != root and root not in inside.parents:
            raise FileNotFoundError(path)
        return inside

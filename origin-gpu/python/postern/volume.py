"""Directories that outlive containers, on one box."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from . import _data
from ._absent import Absent
from ._both import Both, BothContexts, BothIterators
from .exception import NotFoundError


@dataclass(frozen=True)
class FileEntry:
    """A file or directory of a volume."""

    path: str
    type: str
    mtime: int
    size: int


class VolumeUpload:
    """The files of one `batch_upload`."""

    def __init__(self) -> None:
        #: A file of this machine, or its bytes; and its path in the volume.
        self.files: list[tuple[Path | bytes, str]] = []

    def put_file(self, local_file: str | Path | BinaryIO, remote_path: str | PurePosixPath, mode: int | None = None) -> None:
        """A file by its path, or an open one. Its mode is the local file's."""
        del mode
        if isinstance(local_file, (str, Path)):
            if not Path(local_file).is_file():
                raise FileNotFoundError(f"there is no file {local_file}")
            self.files.append((Path(local_file), str(remote_path)))
        else:
            self.files.append((local_file.read(), str(remote_path)))

    def put_directory(self, local_path: str | Path, remote_path: str | PurePosixPath, recursive: bool = True) -> None:
        """The files of a directory, with those below it unless `recursive` is false."""
        root = Path(local_path)
        if not root.is_dir():
            raise NotADirectoryError(f"{local_path} is no directory")
        for each in sorted(root.rglob("*") if recursive else root.iterdir()):
            if each.is_file():
                self.files.append((each, str(PurePosixPath(remote_path) / each.relative_to(root).as_posix())))


class Volume:
    """A directory of the box by name. Containers that mount it see each other's writes at once."""

    def __init__(self, name: str, create: bool) -> None:
        self.name = _data.checked_name(name, "Volume")
        self._create = create
        self.hydrate: Both[..., Volume] = Both(self._hydrate)
        self.commit: Both[[], None] = Both(self._commit)
        self.reload: Both[[], None] = Both(self._reload)
        self.iterdir: BothIterators[..., FileEntry] = BothIterators(self._iterdir)
        self.listdir: Both[..., list[FileEntry]] = Both(self._listdir)
        self.read_file: BothIterators[[str], bytes] = BothIterators(self._read_file)
        self.remove_file: Both[..., None] = Both(self._remove_file)
        self.copy_files: Both[..., None] = Both(self._copy_files)
        self.batch_upload: BothContexts[..., VolumeUpload] = BothContexts(self._batch_upload)

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
    @BothContexts
    @contextmanager
    def ephemeral(**options: Any) -> Iterator[Volume]:
        """A volume that goes with the block."""
        del options
        made = Volume(f"ephemeral-{uuid.uuid4().hex}", True)
        try:
            yield made
        finally:
            shutil.rmtree(made.directory, ignore_errors=True)

    def __reduce__(self) -> tuple[Any, ...]:
        return (Volume, (self.name, self._create))

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
    info = Absent("it has its name; its files have their times, by listdir()")

    def _hydrate(self, client: Any = None) -> Volume:
        """Looks for it now. @throws NotFoundError"""
        del client
        _ = self.directory
        return self

    def _commit(self) -> None:
        """Nothing to do: a write is there at once."""

    def _reload(self) -> None:
        """Nothing to do: others' writes are there at once."""

    def _iterdir(self, path: str = "/", *, recursive: bool = True) -> Iterator[FileEntry]:
        """Its files and directories below a path."""
        root = self.directory
        start = self._inside(path)
        for each in sorted(start.rglob("*") if recursive else start.iterdir()):
            stat = each.stat()
            kind = "directory" if each.is_dir() else "file"
            yield FileEntry(each.relative_to(root).as_posix(), kind, int(stat.st_mtime), stat.st_size)

    def _listdir(self, path: str = "/", *, recursive: bool = False) -> list[FileEntry]:
        """The same as a list."""
        return list(self._iterdir(path, recursive=recursive))

    def _read_file(self, path: str) -> Iterator[bytes]:
        """A file's bytes, in pieces. @throws FileNotFoundError"""
        with open(self._inside(path), "rb") as file:
            while chunk := file.read(1024 * 1024):
                yield chunk

    def _remove_file(self, path: str, recursive: bool = False) -> None:
        """Removes a file, or with `recursive` a directory. @throws FileNotFoundError"""
        inside = self._inside(path)
        if inside.is_dir() and recursive:
            shutil.rmtree(inside)
        else:
            inside.unlink()

    def read_only(self) -> Volume:
        """The same volume: Postern does not keep containers from writing to it."""
        return self

    def _copy_files(self, src_paths: Sequence[str], dst_path: str, recursive: bool = False) -> None:
        """Copies within the volume, several files into a directory. @throws FileNotFoundError, IsADirectoryError"""
        target = self._inside(dst_path)
        if len(src_paths) > 1 or dst_path.endswith("/"):
            target.mkdir(parents=True, exist_ok=True)
        for path in src_paths:
            source = self._inside(path)
            to = target / source.name if target.is_dir() else target
            if source.is_dir():
                if not recursive:
                    raise IsADirectoryError(f"{path} is a directory: recursive=True copies it")
                shutil.copytree(source, to, dirs_exist_ok=True)
            else:
                shutil.copy2(source, to)

    @contextmanager
    def _batch_upload(self, force: bool = False) -> Iterator[VolumeUpload]:
        """Puts files of this machine into the volume, when the block ends: all that was named in it.

        The volume is the box's, so this is for a box, and for a local entrypoint by `postern run`.
        @throws FileExistsError for a file that is there already, unless `force`
        """
        upload = VolumeUpload()
        yield upload
        taken = [remote for _, remote in upload.files if self._inside(remote).exists()]
        if taken and not force:
            raise FileExistsError(f"{self.name} has {', '.join(taken)} already: force=True overwrites")
        for local, remote in upload.files:
            target = self._inside(remote)
            target.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(local, Path):
                shutil.copy2(local, target)
            else:
                target.write_bytes(local)

    def _inside(self, path: str) -> Path:
        root = self.directory.resolve()
        inside = (root / path.lstrip("/")).resolve()
        if inside != root and root not in inside.parents:
            raise FileNotFoundError(path)
        return inside

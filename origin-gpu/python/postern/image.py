"""The Python environment of a function's containers. Postern builds no images: an image's Python packages become an
environment on the box, and what would change the system is said and skipped."""

from __future__ import annotations

import contextlib
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from ._absent import Absent
from ._location import notice, refuse
from ._runtime import is_local
from .exception import NotSupportedError

#: What every environment has besides an image's own packages: the container's server, and what samples take for granted.
BASE_REQUIREMENTS = ("uvicorn[standard]", "cloudpickle", "fastapi", "python-multipart")

_NAME = re.compile(r"^\s*([A-Za-z0-9][A-Za-z0-9._-]*)")


@dataclass(frozen=True)
class LocalFiles:
    """A file or directory of the author's that containers find at another path."""

    local: Path
    remote: str


@dataclass(frozen=True)
class _Parts:
    options: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    python: str | None = None
    env: tuple[tuple[str, str], ...] = ()
    files: tuple[LocalFiles, ...] = ()


class Image:
    """Packages, a Python version and variables for containers. Each method returns another image."""

    def __init__(self, parts: _Parts | None = None) -> None:
        self._parts = parts or _Parts()
        #: What `imports()` could not import, for the container that needs it.
        self.import_error: ImportError | None = None

    # What it is made of

    @staticmethod
    def debian_slim(python_version: str | None = None, force_build: bool = False) -> Image:
        """The box's own system, with this Python where the box has it."""
        del force_build
        return Image(_Parts(python=python_version))

    @staticmethod
    def from_registry(
        tag: str,
        secret: Any = None,
        *,
        setup_dockerfile_commands: Sequence[str] = (),
        force_build: bool = False,
        add_python: str | None = None,
        **options: Any,
    ) -> Image:
        """The box's own system: of the registry's image only the Python version counts."""
        del secret, force_build
        if options:
            refuse(f"Image.from_registry: unknown argument {', '.join(options)}")
        if setup_dockerfile_commands:
            notice("setup_dockerfile_commands have no effect: the box's own system is used")
        python = add_python
        match = re.match(r"(?:.*/)?python:(\d+\.\d+)", tag)
        if python is None and match is not None:
            python = match[1]
        if match is None:
            notice(f"image {tag}: the box's own system is used in its place; install there what it needs from it")
        return Image(_Parts(python=python))

    def pip_install(
        self,
        *packages: str | Sequence[str],
        find_links: str | None = None,
        index_url: str | None = None,
        extra_index_url: str | None = None,
        pre: bool = False,
        extra_options: str = "",
        force_build: bool = False,
        env: Mapping[str, str | None] | None = None,
        secrets: Any = None,
        gpu: Any = None,
    ) -> Image:
        """Adds Python packages, in the words of a requirements file."""
        del force_build, env, secrets, gpu
        options = [
            f"--{name} {value}"
            for name, value in (
                ("find-links", find_links),
                ("index-url", index_url),
                ("extra-index-url", extra_index_url),
            )
            if value is not None
        ]
        if pre:
            options.append("--pre")
        if extra_options:
            notice(f"extra_options have no effect: {extra_options}")
        return self._with_packages(_flat(packages), options)

    def uv_pip_install(
        self,
        *packages: str | Sequence[str],
        requirements: Sequence[str] | None = None,
        uv_version: str | None = None,
        **options: Any,
    ) -> Image:
        """The same: the box takes uv where it has it."""
        del uv_version
        image = self.pip_install(*packages, **options)
        for file in requirements or ():
            image = image.pip_install_from_requirements(file)
        return image

    def pip_install_from_requirements(self, requirements_txt: str, **options: Any) -> Image:
        """Adds the packages of a requirements file."""
        if not is_local():
            return self
        try:
            lines = Path(requirements_txt).read_text(encoding="utf-8").splitlines()
        except OSError as error:
            refuse(f"{requirements_txt}: {error.strerror}")
            return self
        stripped = [re.sub(r"(^|\s)#.*$", "", line).strip() for line in lines]
        wanted = [line for line in stripped if line]
        packages = [line for line in wanted if not line.startswith("-")]
        return self.pip_install(*packages, **options)._with_packages([], [line for line in wanted if line.startswith("-")])

    def pip_install_from_pyproject(
        self, pyproject_toml: str, optional_dependencies: Sequence[str] = (), **options: Any
    ) -> Image:
        """Adds the dependencies of a pyproject.toml."""
        if not is_local():
            return self
        if sys.version_info < (3, 11):
            refuse("pip_install_from_pyproject needs Python 3.11 or newer; name the packages with pip_install")
            return self
        import tomllib

        try:
            project = tomllib.loads(Path(pyproject_toml).read_text(encoding="utf-8")).get("project", {})
        except (OSError, tomllib.TOMLDecodeError) as error:
            refuse(f"{pyproject_toml}: {error}")
            return self
        packages = list(project.get("dependencies", []))
        for group in optional_dependencies:
            packages += project.get("optional-dependencies", {}).get(group, [])
        return self.pip_install(*packages, **options)

    def env(self, vars: Mapping[str, str]) -> Image:
        """Adds environment variables."""
        return self._but(env=(*self._parts.env, *vars.items()))

    def add_local_file(self, local_path: str | Path, remote_path: str, *, copy: bool = False) -> Image:
        """Lets containers find a file of this machine at another path."""
        del copy
        local = Path(local_path)
        remote = remote_path + local.name if remote_path.endswith("/") else remote_path
        return self._with_files(local, remote)

    def add_local_dir(
        self,
        local_path: str | Path,
        remote_path: str,
        *,
        copy: bool = False,
        ignore: Sequence[str] | Callable[[Path], bool] = (),
    ) -> Image:
        """Lets containers find a directory of this machine at another path."""
        del copy
        if ignore:
            notice("ignore has no effect: the directory is there as a whole; .posternignore leaves files out of a deployment")
        return self._with_files(Path(local_path), remote_path)

    def add_local_python_source(self, *modules: str, copy: bool = False, ignore: Any = ()) -> Image:
        """Nothing to do: modules beside the app's file are a part of it."""
        del modules, copy, ignore
        return self

    # What changes the system, which is the box's

    def apt_install(self, *packages: str | Sequence[str], **options: Any) -> Image:
        """Said and skipped: the box's system is its owner's."""
        del options
        notice(f"apt_install is skipped: install {' '.join(_flat(packages))} on the box")
        return self

    def run_commands(self, *commands: str | Sequence[str], **options: Any) -> Image:
        """Said and skipped: the box's system is its owner's."""
        del options
        notice(f"run_commands is skipped: run on the box what is needed of {'; '.join(_flat(commands))}")
        return self

    def dockerfile_commands(self, *commands: str | Sequence[str], **options: Any) -> Image:
        """Said and skipped."""
        del options
        notice(f"dockerfile_commands is skipped: run on the box what is needed of {'; '.join(_flat(commands))}")
        return self

    def run_function(self, raw_f: Callable[..., Any], **options: Any) -> Image:
        """Said and skipped: an @enter method or the function itself does it at its first call."""
        del options
        notice(f"run_function({raw_f.__name__}) is skipped: run it on the box, or in an @enter method")
        return self

    def entrypoint(self, entrypoint_commands: Sequence[str]) -> Image:
        """Said and skipped."""
        del entrypoint_commands
        notice("entrypoint has no effect: Postern starts the container's server")
        return self

    def cmd(self, cmd: Sequence[str]) -> Image:
        """Said and skipped."""
        del cmd
        notice("cmd has no effect: Postern starts the container's server")
        return self

    def shell(self, shell_commands: Sequence[str]) -> Image:
        """Said and skipped."""
        del shell_commands
        notice("shell has no effect: no commands are run")
        return self

    def workdir(self, path: Any) -> Image:
        """Said and skipped: containers run in the app's directory."""
        notice(f"workdir({path}) has no effect: containers run in the app's directory")
        return self

    def uv_sync(self, *_arguments: Any, **_options: Any) -> Image:
        """Refused."""
        refuse("uv_sync is not supported: name the packages with uv_pip_install", NotSupportedError)
        return self

    def poetry_install_from_file(self, *_arguments: Any, **_options: Any) -> Image:
        """Refused."""
        refuse("poetry_install_from_file is not supported: name the packages with pip_install", NotSupportedError)
        return self

    def micromamba_install(self, *_arguments: Any, **_options: Any) -> Image:
        """Refused."""
        refuse("micromamba_install is not supported: name the packages with pip_install", NotSupportedError)
        return self

    def pip_install_private_repos(self, *_arguments: Any, **_options: Any) -> Image:
        """Refused."""
        refuse("pip_install_private_repos is not supported: pip_install takes git+https URLs", NotSupportedError)
        return self

    @staticmethod
    def micromamba(python_version: str | None = None, force_build: bool = False) -> Image:
        """As debian_slim."""
        del force_build
        return Image(_Parts(python=python_version))

    @staticmethod
    def from_dockerfile(path: str | Path, **options: Any) -> Image:
        """The box's own system: of the image only `add_python` counts."""
        notice(f"{path} is skipped: the box's own system is used; install there what it needs")
        return Image(_Parts(python=options.get("add_python")))

    from_aws_ecr = Absent("use from_registry: the box's own system is used, whatever the image")
    from_gcp_artifact_registry = Absent("use from_registry: the box's own system is used, whatever the image")
    from_scratch = Absent("use debian_slim: the box's own system is used, whatever the image")
    from_id = Absent("there are no images: name the packages with pip_install")
    build = Absent("there are no images: an environment is made when a container starts")

    @contextlib.contextmanager
    def imports(self) -> Iterator[None]:
        """Imports for this image's containers alone: elsewhere a missing module does not matter."""
        try:
            yield
        except ImportError as error:
            # The container of a function with this image raises it when it has read the file.
            self.import_error = error

    # What describing an app needs of it

    @property
    def has_packages(self) -> bool:
        """Whether it names any."""
        return self._parts.packages != ()

    @property
    def requirements(self) -> list[str]:
        """Lines of a requirements file, with what Postern's own server needs."""
        return [*self._parts.options, *with_base(self._parts.packages)]

    @property
    def python(self) -> str | None:
        """The interpreter that it asks for, where the box has it."""
        version = self._parts.python
        if version is None:
            return None
        short = ".".join(version.split(".")[:2])
        name = f"python{short}"
        if _runs(name, short):
            return name
        notice(f"there is no {name} here: containers run on another Python")
        return None

    @property
    def variables(self) -> dict[str, str]:
        """Its environment variables."""
        return dict(self._parts.env)

    @property
    def files(self) -> tuple[LocalFiles, ...]:
        """What containers are to find at another path."""
        return self._parts.files

    def _with_packages(self, packages: Sequence[str], options: Sequence[str]) -> Image:
        parts = self._parts
        more = tuple(option for option in options if option not in parts.options)
        return self._but(packages=(*parts.packages, *packages), options=(*parts.options, *more))

    def _with_files(self, local: Path, remote: str) -> Image:
        if not remote.startswith("/"):
            refuse(f"remote_path must begin with a slash, and is {remote!r}")
        return self._but(files=(*self._parts.files, LocalFiles(local.expanduser(), remote)))

    def _but(self, **changes: Any) -> Image:
        return Image(replace(self._parts, **changes))


def with_base(packages: Sequence[str]) -> list[str]:
    """Adds what a container needs, unless it is named already."""
    named = {package_name(package) for package in packages}
    return [*packages, *(line for line in BASE_REQUIREMENTS if package_name(line) not in named)]


def package_name(requirement: str) -> str:
    """A requirement's package, as names are compared (PEP 503)."""
    match = _NAME.match(requirement)
    return re.sub(r"[-_.]+", "-", match[1]).lower() if match else requirement


def _flat(words: Sequence[str | Sequence[str]]) -> list[str]:
    flat: list[str] = []
    for word in words:
        flat.extend([word] if isinstance(word, str) else word)
    return flat


@lru_cache(maxsize=16)
def _runs(python: str, version: str) -> bool:
    """Whether a command is a Python of this version; a shim may stand there for one that is not installed."""
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    try:
        told = subprocess.run([*shlex.split(python), "-c", code], capture_output=True, text=True, timeout=20, check=False)
    except OSError:
        return False
    return told.returncode == 0 and told.stdout.strip() == version

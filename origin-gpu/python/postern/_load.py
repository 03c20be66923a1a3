"""Imports an app's file, and finds the app in it: alike where it is described, run and served."""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
import sys
from pathlib import Path
from types import ModuleType

from .app import APPS, App
from .exception import InvalidError


#: The package that the directory of a file is, where the file imports its neighbours by `from .name import`. A directory has
#: another name on each box, and the modules of a pickle have the same one everywhere.
PACKAGE_OF_FILE = "postern_app"

_RELATIVE_IMPORT = re.compile(r"^[ \t]*from[ \t]+\.", re.MULTILINE)


def import_file(file: str) -> ModuleType:
    """The module of a file. Its directory comes first on the path, as where the file is run."""
    path = Path(file).resolve()
    directory = str(path.parent)
    if directory not in sys.path:
        sys.path.insert(0, directory)
    is_relative = _RELATIVE_IMPORT.search(path.read_text(encoding="utf-8", errors="replace")) is not None
    name = f"{PACKAGE_OF_FILE}.{path.stem}" if is_relative else path.stem
    prepare_import(name, directory)
    return importlib.import_module(name)


def prepare_import(module_name: str, directory: str) -> None:
    """Makes a directory the package of such a module; its `__init__.py` is run where there is one."""
    if not module_name.startswith(PACKAGE_OF_FILE + ".") or PACKAGE_OF_FILE in sys.modules:
        return
    init = os.path.join(directory, "__init__.py")
    if not os.path.isfile(init):
        package = ModuleType(PACKAGE_OF_FILE)
        package.__path__ = [directory]
        sys.modules[PACKAGE_OF_FILE] = package
        return
    spec = importlib.util.spec_from_file_location(PACKAGE_OF_FILE, init, submodule_search_locations=[directory])
    assert spec is not None and spec.loader is not None
    sys.modules[PACKAGE_OF_FILE] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules[PACKAGE_OF_FILE])


def app_of(module: ModuleType, wanted: str | None = None) -> App:
    """The app that a module is about: what is called `app`, else its only one.

    @param wanted the name of a variable instead
    @throws InvalidError
    """
    if wanted is not None:
        found = getattr(module, wanted, None)
        if isinstance(found, App):
            return found
        raise InvalidError(f"{module.__name__}.{wanted} is no App")
    found = getattr(module, "app", None)
    if isinstance(found, App):
        return found
    apps = [app for app in APPS if not app.included]
    if len(apps) == 1:
        return apps[0]
    if not apps:
        raise InvalidError(f"{module.__name__} has no App")
    names = ", ".join(app.name or "without a name" for app in apps)
    raise InvalidError(f"{module.__name__} has several apps ({names}): call one of them `app`, or include the others in it")


def name_of(app: App, module: ModuleType) -> str:
    """An app without a name has its file's."""
    return app.name or module.__name__.rpartition(".")[2] or os.path.basename(os.getcwd())

"""Imports an app's file, and finds the app in it: alike where it is described, run and served."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path
from types import ModuleType

from .app import APPS, App
from .exception import InvalidError


def import_file(file: str) -> ModuleType:
    """The module of a file. Its directory comes first on the path, as where the file is run."""
    path = Path(file).resolve()
    directory = str(path.parent)
    if directory not in sys.path:
        sys.path.insert(0, directory)
    return importlib.import_module(path.stem)


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

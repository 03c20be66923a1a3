"""Paths that containers find things at: volumes, and files that an image adds. The box has one file system for all, so a
path is a symbolic link. One that something else has is refused, and never replaced."""

import hashlib
import os

from .refusals import refuse


def put(remote, target, notes):
    """Makes `remote` lead to `target`. `notes`: a directory that knows which links Postern made."""
    remote, target = os.path.normpath(str(remote)), os.path.realpath(str(target))
    if os.path.realpath(remote) == target:
        return
    note = os.path.join(notes, hashlib.sha256(remote.encode()).hexdigest()[:32])
    if os.path.lexists(remote) and not (os.path.islink(remote) and read(note) == os.readlink(remote)):
        refuse("{} is there already on this box, and not Postern's: use another path in the container".format(remote))
    try:
        os.makedirs(notes, exist_ok=True)
        os.makedirs(os.path.dirname(remote), exist_ok=True)
        # Noted first: a link that is not noted could never be replaced.
        replace(note, lambda path: write(path, target))
        replace(remote, lambda path: os.symlink(target, path))
    except OSError as error:
        refuse("{} can't be made on this box: {}: use a path that the app's user may write".format(remote, error.strerror))


def replace(path, make):
    new = "{}.{}".format(path, os.getpid())
    make(new)
    os.replace(new, path)


def read(path):
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except OSError:
        return None


def write(path, text):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)

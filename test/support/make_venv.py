"""Makes a virtual environment once per list of requirements.

Usage: make_venv.py DIRECTORY REQUIREMENTS_FILE

Several test processes may ask at once: a lock that the kernel releases, even after a kill, lets one of
them install while the others wait. A marker with the requirements' digest says that it is complete; an
environment without the right marker is made anew. Prints nothing unless something fails.
"""

import fcntl
import hashlib
import subprocess
import sys
import venv
from pathlib import Path


def main() -> None:
    directory, requirements = Path(sys.argv[1]), Path(sys.argv[2])
    digest = hashlib.sha256(requirements.read_bytes() + sys.version.encode()).hexdigest()
    marker = directory / "complete"
    directory.parent.mkdir(parents=True, exist_ok=True)
    with open(directory.with_suffix(".lock"), "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if marker.exists() and marker.read_text(encoding="utf-8") == digest:
            return
        venv.create(directory, clear=True, with_pip=True)
        install = [directory / "bin" / "python", "-m", "pip", "install", "--quiet"]
        options = ["--disable-pip-version-check", "--requirement", requirements]
        subprocess.run([*install, *options], check=True)
        marker.write_text(digest, encoding="utf-8")


main()

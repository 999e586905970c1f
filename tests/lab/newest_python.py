"""The unit and contract tests under the newest Python that Debian has, in the lab's root of its unstable release."""

import configparser
import hashlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from packaging.requirements import Requirement

from . import newer
from .locks import locked
from .model import LabError
from .paths import SYSTEM_PATH, cache_directory

PROJECT = Path(__file__).parents[2]
_NOT_OF_TESTS = {"mypy", "ruff", "types-docker", "types-jsonschema"}

# The clone is seen as /mnt, and may be written to; what is mounted goes with the namespace.
_INSIDE = """
mount --bind "$1" "$1"
for folder in proc sys dev; do mount --rbind "/$folder" "$1/$folder"; done
mount -t tmpfs tmpfs "$1/tmp"
mount --bind "$2" "$1/mnt"
mount --bind "$3" "$1$4"
root=$1
shift 4
exec chroot "$root" sh -c 'cd /mnt && exec "$@"' sh "$@"
"""


def run(arguments: Sequence[str]) -> int:
    """The exit code of pytest with these arguments. Raises LabError where that Python cannot be had."""
    root = newer.build()
    version = _version(root)
    packages = _packages(version)
    site = f"/usr/local/lib/python{version}/dist-packages"
    (root / site[1:]).mkdir(parents=True, exist_ok=True)
    enter = ("unshare", "--mount", "sh", "-euc", _INSIDE, "sh", str(root), str(PROJECT), str(packages), site)
    python = ("env", "-i", f"PATH={SYSTEM_PATH}", "HOME=/tmp", "LANG=C.UTF-8", "PYTHONDONTWRITEBYTECODE=1", "python3")
    print(f"Python {version}:", flush=True)
    done = subprocess.run((*enter, *python, "-m", "pytest", "-p", "no:cacheprovider", *arguments), check=False)
    return done.returncode


def _version(root: Path) -> str:
    """The minor version of the root's Python, e.g. 3.14."""
    name = (root / "usr/bin/python3").resolve().name
    if not name.startswith("python3."):
        raise LabError(f"{root} has no Python: remove it, and run this again")
    return name.removeprefix("python")


def _packages(version: str) -> Path:
    """What the tests need, as wheels for that Python; installed once for each set of requirements."""
    wanted = _requirements(version)
    recipe = hashlib.sha256("\n".join(wanted).encode()).hexdigest()[:8]
    place = cache_directory() / f"python{version}-{recipe}"
    with locked(cache_directory() / "lock"):
        if not place.exists():
            partial = Path(tempfile.mkdtemp(prefix="partial-", dir=cache_directory()))
            pip = (sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
            target = ("--target", str(partial), "--python-version", version, "--only-binary", ":all:")
            done = subprocess.run((*pip, *target, *wanted), check=False)
            if done.returncode:
                shutil.rmtree(partial)
                raise LabError(f"pip has not all that the tests need for Python {version}")
            partial.chmod(0o755)
            partial.rename(place)
    return place


def _requirements(version: str) -> list[str]:
    setup = configparser.ConfigParser()
    setup.read(PROJECT / "setup.cfg", encoding="utf-8")
    lines = setup["options"]["install_requires"] + setup["options.extras_require"]["test"]
    wanted = [Requirement(line) for line in lines.splitlines() if line]
    environment = {"python_version": version}
    return [
        f"{one.name}{one.specifier}"
        for one in wanted
        if one.name not in _NOT_OF_TESTS and (one.marker is None or one.marker.evaluate(environment))
    ]

"""The newer engine, its tools and the newest Python: a root of Debian's unstable release, built once and cached."""

import hashlib
import os
import shutil
import tempfile
from pathlib import Path

from . import packages
from .locks import locked
from .model import LabError
from .paths import cache_directory

RELEASE = "sid"
NEEDED = ("docker.io", "docker-cli", "docker-buildx", "python3")
OPTIONAL = ("crane", "skopeo", "oras")
PROGRAMS = {
    "docker": "usr/bin/docker",
    "docker-buildx": "usr/libexec/docker/cli-plugins/docker-buildx",
    "crane": "usr/bin/crane",
    "skopeo": "usr/bin/skopeo",
    "oras": "usr/bin/oras",
}


def tree() -> Path:
    """Where the root is, or will be; another recipe is another root."""
    recipe = hashlib.sha256(repr((1, RELEASE, NEEDED, OPTIONAL, PROGRAMS)).encode()).hexdigest()[:8]
    return cache_directory() / f"{RELEASE}-{recipe}"


def newer_docker_cli() -> Path:
    """The newer docker client, runnable from outside its root. Raises LabError before `install`."""
    found = tool("docker")
    if found is None:
        raise LabError("the newer docker client is not cached yet: python -m tests.lab install")
    return found


def tool(name: str) -> Path | None:
    """crane, skopeo, oras or docker-buildx, runnable from outside; None if the release has no such package."""
    path = tree() / "outside" / name
    return path if path.exists() else None


def build() -> Path:
    """The root; made if it is not there (about a minute). Only a whole one ever bears its name."""
    if tree().exists():
        return tree()
    cache_directory().mkdir(parents=True, exist_ok=True)
    with locked(cache_directory() / "lock"):
        if not tree().exists():
            for rest in cache_directory().glob("partial-*"):  # of a run that was killed; we hold the lock
                shutil.rmtree(rest)
            partial = Path(tempfile.mkdtemp(prefix="partial-", dir=cache_directory()))
            try:
                _fill(partial)
                partial.chmod(0o755)
                partial.rename(tree())
            except BaseException:
                shutil.rmtree(partial, ignore_errors=True)
                raise
    return tree()


def mirror() -> str:
    """The Debian mirror that this machine's own apt uses, or PUSHSAFE_LAB_MIRROR."""
    if own := os.environ.get("PUSHSAFE_LAB_MIRROR"):
        return own
    listed = packages.run("apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages", "Label: Debian")
    if not listed.split():
        raise LabError("apt's sources name no Debian mirror (apt-get update?); set PUSHSAFE_LAB_MIRROR")
    return listed.split()[0]


def _fill(root: Path) -> None:
    # In mount namespaces of their own: an interrupted build leaves nothing mounted in the tree.
    alone = ("unshare", "--mount")
    keyring = f"--keyring={packages.KEYRING}"
    packages.run(*alone, "debootstrap", "--variant=minbase", keyring, RELEASE, str(root), mirror())
    policy = root / "usr/sbin/policy-rc.d"
    policy.write_text(packages.POLICY_TEXT)
    policy.chmod(0o755)
    inside = (*alone, "sh", "-c", 'mount --rbind /proc "$0/proc"; mount --rbind /dev "$0/dev"; exec chroot "$0" "$@"')
    # No update first: the package lists are those whose signature debootstrap has just checked.
    install = ("install", "--no-install-recommends")
    packages.apt_get(*install, *NEEDED, enter=(*inside, str(root)))
    for package in OPTIONAL:
        try:
            packages.apt_get(*install, package, enter=(*inside, str(root)))
        except LabError as error:
            (root / f"missing-{package}.txt").write_text(str(error))
    packages.apt_get("clean", enter=(*inside, str(root)))
    shutil.rmtree(root / "var/lib/apt/lists")
    (root / "outside").mkdir()
    for name, path in PROGRAMS.items():
        if (root / path).exists():
            _make_runnable(root, root / path, root / "outside" / name)


def _make_runnable(root: Path, program: Path, link: Path) -> None:
    """A link to a program that the machine's own libraries satisfy, else a script that brings its own."""
    try:
        needs_more = "not found" in packages.run("ldd", str(program))
    except LabError:  # static, or not for this loader
        needs_more = False
    relative = os.path.relpath(program, link.parent)
    if not needs_more:
        link.symlink_to(relative)
        return
    loader = next((root / "lib64").glob("ld-linux*"), None) or next((root / "lib").glob("ld-linux*"))
    libraries = next((root / "usr/lib").glob("*-linux-gnu"))
    own = [os.path.relpath(path, link.parent) for path in (loader, libraries)]
    link.write_text(
        '#!/bin/sh\n# Needs newer libraries than the machine has.\nhere=$(dirname "$(readlink -f "$0")")\n'
        f'exec "$here/{own[0]}" --library-path "$here/{own[1]}" "$here/{relative}" "$@"\n'
    )
    link.chmod(0o755)

"""Where the lab keeps its running state and its cache, both outside the clone."""

import os
from pathlib import Path

from .model import LabError

# What root's PATH may lack under sudo or cron: Debian keeps daemons in the sbin directories.
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

# A unix socket's path holds 107 bytes; containerd's own lies this deep below the run directory.
LONGEST_SOCKET = "engines/isolated-containerd/exec/containerd/containerd.sock.ttrpc"


def run_directory() -> Path:
    """Sockets, data, logs and secrets of the running lab: PUSHSAFE_LAB_RUN, or one place per user below /var/tmp."""
    return Path(os.environ.get("PUSHSAFE_LAB_RUN") or f"/var/tmp/pushsafe-lab-{os.getuid()}").absolute()


def cache_directory() -> Path:
    """The slow part, kept between runs: PUSHSAFE_LAB_CACHE, or pushsafe-lab in the user's cache directory."""
    own = os.environ.get("PUSHSAFE_LAB_CACHE")
    if own:
        return Path(own).absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").absolute() / "pushsafe-lab"


def make_private(directory: Path) -> Path:
    """Create a directory for this user only.

    Raises LabError if somebody else made it: /var/tmp is everybody's.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = directory.lstat()
    if directory.is_symlink() or found.st_uid != os.getuid():
        raise LabError(f"{directory} is not ours; set PUSHSAFE_LAB_RUN to a directory of your own")
    directory.chmod(0o700)
    return directory


def write_private(path: Path, text: str) -> None:
    """Replace a file whole, readable by its owner only."""
    partial = path.with_name(path.name + ".partial")
    partial.unlink(missing_ok=True)
    partial.touch(mode=0o600, exist_ok=False)
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)

"""The machine's own packages: what the lab lacks is installed with apt-get, and no service of Debian's is started."""

import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from .model import LabError
from .paths import SYSTEM_PATH

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
PROGRAMS: Mapping[str, str] = {
    "dockerd": "docker.io",
    "docker-registry": "docker-registry",
    "debootstrap": "debootstrap",
    "nginx": "nginx-light",
    "ip": "iproute2",
    "mount": "mount",
    "nsenter": "util-linux",
    "ssh": "openssh-client",
    "sshd": "openssh-server",
}

# invoke-rc.d and deb-systemd-invoke ask this program before a package's script starts a service; 101 forbids it.
POLICY = Path("/usr/sbin/policy-rc.d")
POLICY_TEXT = "#!/bin/sh\n# pushsafe lab: no service starts while its packages are installed.\nexit 101\n"


def missing() -> tuple[str, ...]:
    """Debian packages that the lab needs and the machine lacks."""
    found = [package for program, package in PROGRAMS.items() if not shutil.which(program, path=SYSTEM_PATH)]
    if not KEYRING.exists():
        found.append("debian-archive-keyring")
    return tuple(found)


def install() -> None:
    """Install what is missing. Raises LabError; removes no package of the machine."""
    wanted = missing()
    if not wanted:
        return
    with services_kept_off():
        apt_get("update")
        # docker.io conflicts with other vendors' engines: rather no lab than a machine without its engine.
        apt_get("install", "--no-install-recommends", "--no-remove", *wanted)
    if left := missing():
        raise LabError(f"apt-get installed {', '.join(wanted)}, but {', '.join(left)} is still missing")


def apt_get(*arguments: str, enter: tuple[str, ...] = ()) -> None:
    run(*enter, "apt-get", "-q", "-y", "-o", "DPkg::Lock::Timeout=300", *arguments)


def run(*argv: str) -> str:
    """Run a program of the system. Raises LabError with the end of what it printed."""
    done = subprocess.run(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env={"PATH": SYSTEM_PATH, "HOME": "/root", "LANG": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"},
        check=False,
    )
    if done.returncode:
        tail = "\n".join(done.stdout.splitlines()[-15:])
        raise LabError(f"{' '.join(argv)} ended with {done.returncode}:\n{tail}")
    return done.stdout


@contextmanager
def services_kept_off(policy: Path = POLICY) -> Iterator[None]:
    """Forbid services to start, then put back what was there, also after a run that was killed in between."""
    saved = policy.with_name(policy.name + ".before-pushsafe-lab")
    ours_is_left = policy.exists() and policy.read_text() == POLICY_TEXT
    if policy.exists() and not ours_is_left:
        policy.replace(saved)
    policy.write_text(POLICY_TEXT)
    policy.chmod(0o755)
    try:
        yield
    finally:
        policy.unlink(missing_ok=True)
        if saved.exists():
            saved.replace(policy)

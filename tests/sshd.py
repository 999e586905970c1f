"""A real ssh server on loopback for one user with a new key, and an `ssh` that reads no other configuration."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HOST = "build"
"""The name under which the client's configuration knows the server."""


@contextmanager
def serve(folder: Path) -> Iterator[tuple[str, str]]:
    """Yields `ssh://HOST` and the PATH that has such an `ssh`; programs in `folder/remote` are the server's own."""
    sshd, ssh = (shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin") for name in ("sshd", "ssh"))
    assert sshd is not None, "install openssh-server"
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (folder / "authorized").write_text((folder / "user.pub").read_text())
    (folder / "sshd_config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/authorized\n"
        f"PidFile none\nStrictModes no\nUsePAM no\nPermitRootLogin prohibit-password\n"
        f"SetEnv PATH={folder}/remote:/usr/bin:/bin\n"
    )
    (folder / "known").write_text(f"[127.0.0.1]:{port} {(folder / 'host.pub').read_text()}")
    (folder / "config").write_text(
        f"Host {HOST}\n  HostName 127.0.0.1\n  Port {port}\n  User {getpass.getuser()}\n  IdentityFile {folder}/user\n"
        f"  IdentitiesOnly yes\n  UserKnownHostsFile {folder}/known\n"
    )
    program(folder / "bin", "ssh", f'#!/bin/sh\nexec {ssh} -F {folder}/config "$@"\n')
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    server = subprocess.Popen([sshd, "-D", "-e", "-f", str(folder / "sshd_config")], stderr=subprocess.PIPE)
    try:
        _wait_for(port, server)
        yield f"ssh://{HOST}", f"{folder}/bin:{os.environ['PATH']}"
    finally:
        server.terminate()
        server.communicate()


def program(folder: Path, name: str, text: str) -> None:
    """An executable script."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(text)
    (folder / name).chmod(0o755)


def _wait_for(port: int, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 10
    while True:
        with socket.socket() as client:
            if not client.connect_ex(("127.0.0.1", port)):
                return
        assert server.poll() is None, server.stderr and server.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.05)

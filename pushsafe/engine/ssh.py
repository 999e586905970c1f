"""A unix socket on this machine that leads to an engine behind ssh, the way docker's own client goes there."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import socket
import subprocess
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from pushsafe.engine.context import masked
from pushsafe.model.errors import EngineUnreachable, UsageError
from pushsafe.runtime.redact import LIMIT, clean

_KEPT = 4096
_PATIENCE = 3.0
# ssh itself refuses these in a user or host from the command line since 9.6 (CVE-2023-51385): its configuration may
# hand both to a shell.
_UNSAFE = re.compile(r"[\s\x00-\x1f\x7f'`\"$;&<>|(){}]|^-|\\$")


@dataclass(frozen=True, slots=True)
class SshHost:
    """The parts of an `ssh://[user@]host[:port][/socket]` address; empty where not given."""

    host: str
    user: str = ""
    port: str = ""
    path: str = ""


def parse(url: str) -> SshHost:
    """Read docker's ssh address (docker/cli `cli/connhelper/ssh/ssh.go`), keeping the case of the host.

    Raises UsageError for a password, a query, a fragment, a missing host, and characters that a shell would obey.
    """
    try:
        parts = urlsplit(url)
    except ValueError:  # an IPv6 address that is none
        raise _bad(url, "it is not of the form ssh://USER@HOST:PORT") from None
    user, _, server = parts.netloc.rpartition("@")
    match = re.fullmatch(r"(?:\[([^\]]+)\]|([^:]*))(?::(\d*))?", server)
    if parts.scheme != "ssh" or match is None:
        raise _bad(url, "it is not of the form ssh://USER@HOST:PORT")
    if ":" in user:
        raise UsageError("a password in an ssh:// address is not supported", "use a key: ssh-copy-id")
    if parts.query or parts.fragment:
        raise _bad(url, "a query or fragment means nothing there")
    host = SshHost(match[1] or match[2], unquote(user), match[3] or "", unquote(parts.path))
    if not host.host:
        raise _bad(url, "there is no host in it")
    for name in filter(None, (host.user, host.host)):
        if _UNSAFE.search(name):
            raise _bad(url, f"ssh refuses {name!r}")
    return host


def command(target: SshHost) -> tuple[str, ...]:
    """The command that docker runs for such a host (docker/cli `cli/connhelper/connhelper.go`).

    ssh gives the remote words to a shell, so they are quoted; user and host are not, because they meet none.
    """
    remote = ["docker", "system", "dial-stdio"]
    if target.path.strip("/"):
        remote.insert(1, f"--host=unix://{target.path}")
    user = ("-l", target.user) if target.user else ()
    port = ("-p", target.port) if target.port else ()
    return ("ssh", *user, *port, "-o", "ConnectTimeout=30", "-T", "--", target.host, shlex.join(remote))


class SshBridge:
    """While entered, each connection to `address`, a `unix://` socket, is one `ssh ... docker system dial-stdio`.

    ssh reads its own configuration, agent and known hosts, as it does for docker. It runs in a session of its own, so
    that it can ask nothing (docker's does not either) and a Ctrl-C meant for us leaves it alone.

    Raises UsageError for a bad address, EngineUnreachable where there is no ssh.
    """

    def __init__(self, url: str) -> None:
        self.command = command(parse(url))
        self._url = url
        self._folder: Path | None = None
        self._listener = socket.socket(socket.AF_UNIX)
        self._calls: list[_Call] = []
        self._lock = threading.Lock()
        self._closed = False

    @property
    def address(self) -> str:
        """Where to connect, as docker writes it: `unix:///...`. Only while entered."""
        if self._folder is None:
            raise RuntimeError("the bridge is not open")
        return f"unix://{self._folder}/docker.sock"

    def __enter__(self) -> SshBridge:
        if shutil.which("ssh") is None:
            raise EngineUnreachable(
                f"{masked(self._url)} needs the program ssh, which is not on PATH", "install openssh-client"
            )
        # mkdtemp makes the folder for this user alone: whoever may connect is root on the other side.
        self._folder = Path(tempfile.mkdtemp(prefix="pushsafe-"))
        try:
            self._listener.bind(str(self._folder / "docker.sock"))
            self._listener.listen(64)
        except OSError as error:
            self.__exit__()
            raise EngineUnreachable(f"no socket can be made in {self._folder}: {error}", "set TMPDIR") from error
        threading.Thread(target=self._accept, name="ssh-bridge", daemon=True).start()
        return self

    def __exit__(self, *_error: object) -> None:
        with self._lock:
            self._closed = True
        # Only this wakes the thread out of accept(); close() alone does not. macOS wakes it, and complains too.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for call in self._calls:
            call.end()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def explain(self) -> str:
        """What ssh last complained of, in one line fit for a terminal; empty if it did not."""
        for call in reversed(tuple(self._calls)):
            text = call.complaint()
            if text:
                return text
        return ""

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection, self._lock:
                if self._closed:
                    return
                try:
                    self._calls.append(_Call(self.command, connection))
                except OSError:
                    # No process to be had: the client sees its connection closed.
                    continue


class _Call:
    """One ssh, whose input and output are the connection itself: bytes and half-closes pass without us."""

    def __init__(self, words: tuple[str, ...], connection: socket.socket) -> None:
        self._child = subprocess.Popen(
            words,
            stdin=connection.fileno(),
            stdout=connection.fileno(),
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        self._said = b""
        self._reader = threading.Thread(target=self._read, name="ssh-stderr", daemon=True)
        self._reader.start()

    def _read(self) -> None:
        """Keep the end of what ssh says, and reap it when it has gone."""
        stderr = self._child.stderr
        assert stderr is not None  # noqa: S101 - it was asked for
        with stderr:
            while chunk := os.read(stderr.fileno(), _KEPT):
                self._said = (self._said + chunk)[-_KEPT:]
        self._child.wait()

    def complaint(self) -> str:
        """What ssh said, waiting a moment for one that is just ending, if it failed."""
        self._reader.join(timeout=1.0)
        if self._child.poll() == 0:
            return ""
        # The reason comes last, after banners.
        return clean(self._said.decode(errors="replace").strip()[-LIMIT:])

    def end(self) -> None:
        """Ask, wait, insist: as docker's own connection does."""
        if self._child.poll() is None:
            self._child.terminate()
            try:
                self._child.wait(_PATIENCE)
            except subprocess.TimeoutExpired:
                self._child.kill()
                self._child.wait()
        self._reader.join(timeout=1.0)


def _bad(url: str, why: str) -> UsageError:
    return UsageError(f"{clean(masked(url))!r} is not an ssh address of an engine: {why}", "docker -H ssh://USER@HOST")

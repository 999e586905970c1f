"""A local unix socket for an engine behind ssh, reached as by docker's client."""

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
_GRACE = 3.0
# ssh refuses these in a user or host since 9.6 (CVE-2023-51385): its configuration may pass both to a shell.
_UNSAFE = re.compile(r"[\s\x00-\x1f\x7f'`\"$;&<>|(){}]|^-|\\$")


@dataclass(frozen=True, slots=True)
class SshHost:
    """The parts of `ssh://[user@]host[:port][/socket]`; missing ones are empty."""

    host: str
    user: str = ""
    port: str = ""
    path: str = ""


def parse(url: str) -> SshHost:
    """Read docker's ssh address (docker/cli `cli/connhelper/ssh/ssh.go`); the host keeps its case.

    Raises UsageError for a password, a query, a fragment, a missing host, and shell metacharacters.
    """
    try:
        parts = urlsplit(url)
    except ValueError:  # an invalid IPv6 address
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

    The remote words are quoted, as ssh passes them to a shell; user and host are not.
    """
    remote = ["docker", "system", "dial-stdio"]
    if target.path.strip("/"):
        remote.insert(1, f"--host=unix://{target.path}")
    user = ("-l", target.user) if target.user else ()
    port = ("-p", target.port) if target.port else ()
    return ("ssh", *user, *port, "-o", "ConnectTimeout=30", "-T", "--", target.host, shlex.join(remote))


class SshBridge:
    """While entered, each connection to `address`, a `unix://` socket, is one `ssh ... docker system dial-stdio`.

    ssh uses its own configuration, agent and known hosts, as with docker. It has a session of its own: it cannot prompt
    (docker's does not either), and our Ctrl-C does not reach it.

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
        """The address to connect to, `unix:///...`, while entered."""
        if self._folder is None:
            raise RuntimeError("the bridge is not open")
        return f"unix://{self._folder}/docker.sock"

    def __enter__(self) -> SshBridge:
        if shutil.which("ssh") is None:
            why = f"{masked(self._url)} needs the program ssh, which is not on PATH"
            raise EngineUnreachable(why, "install openssh-client")
        # mkdtemp's folder is this user's alone: a connection to the socket means root on the other side.
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
        # Only this wakes accept(); close() alone does not. On macOS it wakes it, but also raises.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for call in self._calls:
            call.end()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def explain(self) -> str:
        """ssh's last error message, in one clean line; empty without one."""
        for call in reversed(tuple(self._calls)):
            if text := call.complaint():
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
                    continue  # ssh cannot be started: the client's connection is closed


class _Call:
    """An ssh process whose input and output are the connection itself, half-closes included."""

    def __init__(self, words: tuple[str, ...], connection: socket.socket) -> None:
        self._child = subprocess.Popen(
            words, stdin=connection.fileno(), stdout=connection.fileno(), stderr=subprocess.PIPE, start_new_session=True
        )
        self._said = b""
        self._reader = threading.Thread(target=self._read, name="ssh-stderr", daemon=True)
        self._reader.start()

    def _read(self) -> None:
        """Keep the end of ssh's messages, and reap the process."""
        stderr = self._child.stderr
        assert stderr is not None  # noqa: S101 - it was asked for
        with stderr:
            while chunk := os.read(stderr.fileno(), _KEPT):
                self._said = (self._said + chunk)[-_KEPT:]
        self._child.wait()

    def complaint(self) -> str:
        """ssh's message if it failed, after a moment for it to end."""
        self._reader.join(timeout=1.0)
        if self._child.poll() == 0:
            return ""
        # The reason is last, after banners.
        return clean(self._said.decode(errors="replace").strip()[-LIMIT:])

    def end(self) -> None:
        """Terminate, wait, kill, as docker's connection does."""
        if self._child.poll() is None:
            self._child.terminate()
            try:
                self._child.wait(_GRACE)
            except subprocess.TimeoutExpired:
                self._child.kill()
                self._child.wait()
        self._reader.join(timeout=1.0)


def _bad(url: str, why: str) -> UsageError:
    return UsageError(f"{clean(masked(url))!r} is not an ssh address of an engine: {why}", "docker -H ssh://USER@HOST")

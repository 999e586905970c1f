"""Runs docker's credential helpers: programs that read a server's address and print its secret."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from threading import Lock, Thread
from typing import TYPE_CHECKING, BinaryIO

from pushsafe.credentials.config_file import NO_SECRET, MalformedError, parse_answer, parse_listing
from pushsafe.model.credentials import Secret, Trouble
from pushsafe.runtime.redact import clean

if TYPE_CHECKING:
    from subprocess import Popen


PREFIX = "docker-credential-"
TIME_LIMIT = 60.0
LIST_TIME_LIMIT = 10.0
_MOST_BYTES = 1 << 20
_TOKEN_USER = "<token>"
# docker-credential-helpers credentials/error.go; printed on standard output, with an exit status other than 0.
_NOT_FOUND = "credentials not found in native keychain"
# What may be a secret in a helper's message; names of programs and paths have no digits or are shorter.
_SECRET_LIKE = re.compile(r"(?=[A-Za-z+_=-]*[0-9])[A-Za-z0-9+_=-]{20,}")


@dataclass(frozen=True, slots=True)
class Found:
    """A helper's credential: an identity token for the user name `<token>` (docker/cli `native_store.go`)."""

    username: str
    password: Secret
    identity_token: Secret


@dataclass(frozen=True, slots=True)
class NothingFound:
    """The helper has no credential for the server."""


@dataclass(frozen=True, slots=True)
class Broken:
    """The helper gave no usable answer; `problem`, the reason, holds no secret."""

    problem: str
    trouble: Trouble = Trouble.HELPER


class Running:
    """The helper processes of one run. Thread-safe."""

    def __init__(self) -> None:
        self._processes: list[Popen[bytes]] = []
        self._closed = False
        self._lock = Lock()

    def start(self, begin: Callable[[], Popen[bytes]]) -> Popen[bytes]:
        """Start one; raises OSError. `close` waits for it, so that it misses none."""
        with self._lock:
            process = begin()
            self._processes.append(process)
            if self._closed:
                process.kill()
            return process

    def close(self) -> None:
        """Kill all, and those started later."""
        with self._lock:
            self._closed = True
            for process in self._processes:  # no effect on one that has ended
                process.kill()


def get(
    name: str, key: str, environ: Mapping[str, str], limit: float = TIME_LIMIT, running: Running | None = None
) -> Found | NothingFound | Broken:
    """Ask `docker-credential-NAME` for the server `key`, for up to `limit` seconds. Never raises.

    Closing `running` ends it. Standard error is inherited, as with docker: some helpers ask there for a touch or login.
    """
    answer = _run(name, "get", key, environ, limit, running)
    if isinstance(answer, Broken):
        return answer
    text = answer.output.decode("utf-8", "replace")
    if answer.status:
        return NothingFound() if text.strip() == _NOT_FOUND else Broken(_failure(answer.status, text))
    try:
        username, secret = parse_answer(text)
    except MalformedError as error:
        return Broken(f"its answer is of no use: {error}")
    if username == _TOKEN_USER:
        return Found("", NO_SECRET, Secret(secret))
    return Found(username, Secret(secret), NO_SECRET)


def servers(
    name: str, environ: Mapping[str, str], limit: float = LIST_TIME_LIMIT, running: Running | None = None
) -> tuple[str, ...]:
    """The servers that `docker-credential-NAME` lists; none after an error. Never raises."""
    answer = _run(name, "list", "unused", environ, limit, running, quiet=True)
    if isinstance(answer, Broken) or answer.status:
        return ()
    try:
        return parse_listing(answer.output.decode("utf-8", "replace"))
    except MalformedError:
        return ()


def find(program: str, environ: Mapping[str, str], access: int = os.X_OK) -> str | None:
    """The path of a program, as in Go's `exec.LookPath`: relative directories of PATH do not count."""
    for directory in environ.get("PATH", "").split(os.pathsep) if environ.get("PATH") else ():
        path = os.path.join(directory or ".", program)  # noqa: PTH118
        if os.path.isfile(path) and os.access(path, access):  # noqa: PTH113
            return path if os.path.isabs(path) else None  # noqa: PTH117
    return None


def native_store(environ: Mapping[str, str]) -> str:
    """docker's default helper on this platform, if it is installed (docker/cli `default_store_*.go`)."""
    name = {"darwin": "osxkeychain", "win32": "wincred"}.get(sys.platform, "")
    if sys.platform == "linux":
        name = "pass" if find("pass", environ) else "secretservice"
    return name if name and find(PREFIX + name, environ) else ""


@dataclass(frozen=True, slots=True, repr=False)
class _Answer:
    status: int
    output: bytes


def _run(
    name: str,
    action: str,
    text: str,
    environ: Mapping[str, str],
    limit: float,
    running: Running | None,
    quiet: bool = False,
) -> _Answer | Broken:
    import subprocess

    if not re.fullmatch(r"[^/\\\0]+", name):
        return Broken("this is not the name of a helper", Trouble.NO_NAME)
    path = find(PREFIX + name, environ)
    if path is None:
        closed = find(PREFIX + name, environ, os.F_OK)
        if closed is not None:
            return Broken(f"cannot be executed: {clean(closed)} is not marked executable (chmod +x)")
        return Broken("not installed: there is no such program in PATH", Trouble.NOT_INSTALLED)

    def begin() -> Popen[bytes]:
        return subprocess.Popen(
            [PREFIX + name, action],
            executable=path,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL if quiet else None,
            env=dict(environ),
        )

    running = running or Running()
    try:
        process = running.start(begin)
    except OSError as error:
        return Broken(f"cannot be started: {error.strerror}")
    return _converse(process, text, limit)


def _converse(process: Popen[bytes], text: str, limit: float) -> _Answer | Broken:
    """Output and status of a helper, which is killed if it takes too long or prints too much.

    It keeps our process group and session, as with docker: it may have to prompt at the terminal.
    """
    from subprocess import TimeoutExpired

    assert process.stdin is not None and process.stdout is not None  # noqa: S101, PT018
    end = time.monotonic() + limit
    output = bytearray()
    reader = Thread(target=_read, args=(process.stdout, output), daemon=True)
    reader.start()
    # A helper that does not read the address may still answer.
    with suppress(OSError), process.stdin as stdin:
        stdin.write(text.encode())
    reader.join(limit)
    in_time = not reader.is_alive()
    if in_time and len(output) <= _MOST_BYTES:
        try:
            process.wait(max(0.0, end - time.monotonic()))
        except TimeoutExpired:
            in_time = False
        else:
            process.stdout.close()
            return _Answer(process.returncode, bytes(output))
    process.kill()
    process.wait()
    return Broken("its answer has no end" if in_time else f"no answer within {limit:g} seconds")


def _read(stream: BinaryIO, into: bytearray) -> None:
    while len(into) <= _MOST_BYTES and (part := os.read(stream.fileno(), 65_536)):
        into += part


def _failure(status: int, text: str) -> str:
    """A helper's failure, with the error on its standard output unless that may be an answer with a secret."""
    how = f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"
    said = "" if set(text) & set("{}") else _SECRET_LIKE.sub("***", clean(text, limit=200))
    return f"{how}, saying: {said}" if said else f"{how} and said nothing more"

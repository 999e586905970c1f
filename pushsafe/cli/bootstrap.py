"""Builds the gateways of a real run on demand, and closes them at its end."""

from __future__ import annotations

import os.path
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

from pushsafe.credentials.config_file import MalformedError, load
from pushsafe.credentials.store import CredentialStore
from pushsafe.engine.context import config_dir, masked, resolve
from pushsafe.model.errors import EngineUnreachable, PushsafeError
from pushsafe.model.facts import ConfiguredRegistry, EngineInfo
from pushsafe.model.request import Archive, DockerFlags, EngineAddress
from pushsafe.oci.platform import Platform
from pushsafe.oci.reference import DEFAULT_REGISTRY
from pushsafe.push.ports import BuildxGateway, EngineGateway, Gateways, RegistryGateway, StoredImage

if TYPE_CHECKING:
    from pushsafe.engine.api import Engine

ENGINE_SETTINGS = (Path("/etc/docker/daemon.json"), Path("~/.config/docker/daemon.json"))
"""Settings of an engine on this machine, rootful or rootless (docs.docker.com, dockerd)."""

SILENCE = 300.0
"""Seconds without news after which an engine push ends, in a run without a deadline.

The engine is silent while the registry checks and stores a layer (minutes for many gigabytes), and while buffered data
is sent (74 s of the 100 that 4 MB take at 40 kB/s).
"""

LIST_WAIT = 300.0
"""Seconds to wait for the engine's list of insecure registries, in a run without a deadline."""

_T = TypeVar("_T")


@contextmanager
def gateways(
    flags: DockerFlags,
    environ: Mapping[str, str],
    left: Callable[[], float | None] = lambda: None,
    with_engine: bool = True,
) -> Iterator[Gateways]:
    """The gateways of a run. Only docker's config file is read at once; all else is read or connected on demand.

    `left` returns the seconds left for the run. A run that is not `with_engine` sends the image itself: wherever the
    engine is, it is asked only for insecure registries, and registries are reached from this machine.
    """
    folder = config_dir(flags, environ)
    credentials = CredentialStore(folder, environ)
    with ExitStack() as stack:
        stack.callback(credentials.close)
        address = _Once(lambda: resolve(flags, environ))
        # A deadline of the run is the limit for the engine, too.
        silence = SILENCE if left() is None else None
        engine = _Once(lambda: _engine(address(), credentials.http_headers, silence, stack))
        info = _Once(lambda: engine().info())
        registry = _Once(
            lambda: _registry(lambda: _insecure(info, left), lambda: not with_engine or _is_local(address), left, stack)
        )
        configured = _Once(lambda: configured_registries(credentials.servers(), _for_a_hint(address)))
        buildx = _Once(lambda: _buildx(flags, environ))
        yield Gateways(
            engine if with_engine else _no_engine,
            info,
            registry,
            credentials,
            configured,
            buildx,
            lambda archive, platforms: _stored(archive, platforms, stack),
        )


def _no_engine() -> EngineGateway:
    """The engine may be on any machine, and must get no credential."""
    raise EngineUnreachable("no engine is asked, as the image is sent from here")


def _for_a_hint(address: Callable[[], EngineAddress]) -> EngineAddress | None:
    """The engine's address, or None; errors are reported when the engine is needed."""
    try:
        return address()
    except PushsafeError:
        return None


def configured_registries(logins: tuple[str, ...], address: EngineAddress | None) -> tuple[ConfiguredRegistry, ...]:
    """Registries other than Docker Hub with a login, or in the settings of an engine on this machine."""
    found = {host: ConfiguredRegistry(host, "you are logged in there") for host in logins if host != DEFAULT_REGISTRY}
    for file in ENGINE_SETTINGS if address is not None and address.is_local else ():
        # Not Path.expanduser, which raises without a home.
        for host in _insecure_registries(Path(os.path.expanduser(file))):  # noqa: PTH111
            found.setdefault(host, ConfiguredRegistry(host, f"insecure-registries in {file}"))
    return tuple(found.values())


def _insecure_registries(file: Path) -> tuple[str, ...]:
    try:
        listed = load(file).get("insecure-registries")
    except (OSError, MalformedError):
        return ()  # only a hint is lost; the engine reports a broken file
    return tuple(str(host) for host in listed if "/" not in str(host)) if isinstance(listed, list) else ()


def _engine(address: EngineAddress, headers: Mapping[str, str], silence: float | None, stack: ExitStack) -> Engine:
    from pushsafe.engine.api import Engine

    if not address.host.startswith("ssh://"):
        engine = Engine(address, headers=headers, silence=silence)
        stack.callback(engine.close)
        return engine
    from pushsafe.engine.ssh import SshBridge

    bridge = stack.enter_context(SshBridge(address.host))
    try:
        engine = Engine(address._replace(host=bridge.address), headers=headers, silence=silence)
    except EngineUnreachable as error:
        said = bridge.explain()
        raise EngineUnreachable(
            f"no engine answers at {masked(address.host)} ({address.origin}): {said or error.message}",
            " ".join((*bridge.command[:-1], "docker", "version")),
        ) from error
    stack.callback(engine.close)
    return engine


def _buildx(flags: DockerFlags, environ: Mapping[str, str]) -> BuildxGateway:
    from pushsafe.engine.buildx_cli import BuildxCommand

    return BuildxCommand(flags, environ)


def _registry(
    insecure: Callable[[], tuple[str, ...]],
    engine_is_local: Callable[[], bool],
    left: Callable[[], float | None],
    stack: ExitStack,
) -> RegistryGateway:
    from pushsafe.registry.client import Registry
    from pushsafe.registry.http.transport import Transport

    registry = Registry(Transport(insecure, engine_is_local, deadline=left))
    stack.callback(registry.close)
    return registry


def _stored(archive: Archive, platforms: tuple[Platform, ...], stack: ExitStack) -> StoredImage:
    from pushsafe.sources import open_image

    image = open_image(archive, platforms)
    stack.callback(image.close)
    return image


def _insecure(info: _Once[EngineInfo], left: Callable[[], float | None]) -> tuple[str, ...]:
    """The engine's insecure registries; empty if it does not answer in time."""
    seconds = left()
    try:
        return info(LIST_WAIT if seconds is None else max(seconds, 0)).insecure_registries
    except (PushsafeError, TimeoutError):
        return ()


def _is_local(address: Callable[[], EngineAddress]) -> bool:
    """Whether the engine's loopback is this machine's; false if its address is unknown."""
    found = _for_a_hint(address)
    return found is not None and found.is_local


class _Once(Generic[_T]):
    """A function's result or error, for all threads: the first caller runs it, once."""

    def __init__(self, make: Callable[[], _T]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._made: list[_T] = []
        self._error: BaseException | None = None

    def __call__(self, limit: float = -1) -> _T:
        """Raises TimeoutError if another thread's call takes more than `limit` seconds; negative is no limit."""
        if not self._lock.acquire(timeout=limit):
            raise TimeoutError
        try:
            if self._error is not None:
                raise self._error
            if not self._made:
                self._made.append(self._make())
            return self._made[0]
        except BaseException as error:  # also an interruption: do not start again
            self._error = error
            raise
        finally:
            self._lock.release()

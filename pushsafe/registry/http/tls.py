"""TLS to registries: the authorities that docker trusts, and the certificates in its engine's certs.d."""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from pushsafe.model.errors import RegistryUnreachable
from pushsafe.runtime import small_file
from pushsafe.runtime.redact import clean


class Certificates(NamedTuple):
    """Files for one registry: authorities besides the system's, and client certificates, each with its key."""

    authorities: tuple[Path, ...] = ()
    clients: tuple[tuple[Path, Path], ...] = ()


NO_CERTIFICATES = Certificates()
_LARGEST = 1 << 20
"""Most bytes of a client certificate or key."""


def certs_d(environ: Mapping[str, str]) -> tuple[Path, ...]:
    """The folders of this machine's engines, the user's rootless one first (moby `daemon/pkg/registry/config.go`)."""
    config = environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")  # noqa: PTH111  Path's raises
    return Path(config, "docker", "certs.d"), Path("/etc/docker/certs.d")


def certificates(registry: str, folders: Sequence[Path]) -> Certificates:
    """The files, still unread, in the first folder that has one for a registry, `HOST[:PORT]`.

    Follows moby's `daemon/pkg/registry/registry.go` (loadTLSConfig). Raises RegistryUnreachable where half of a pair is
    missing: the engine's push fails as well.
    """
    for folder in folders:
        try:
            names = sorted(os.listdir(folder / registry))  # noqa: PTH208  names are wanted
        except OSError:
            continue  # none, or readable by the engine only
        return _classified(folder / registry, names)
    return NO_CERTIFICATES


def _classified(folder: Path, names: Sequence[str]) -> Certificates:
    clients = []
    for name in names:
        key, certificate = f"{name.removesuffix('.cert')}.key", f"{name.removesuffix('.key')}.cert"
        if name.endswith(".key") and certificate not in names:
            raise _unusable(folder, f"missing client certificate {certificate} for key {name}")
        if name.endswith(".cert"):
            if key not in names:
                raise _unusable(folder, f"missing key {key} for client certificate {name} (an authority's is *.crt)")
            clients.append((folder / name, folder / key))
    return Certificates(tuple(folder / name for name in names if name.endswith(".crt")), tuple(clients))


class Contexts:
    """The SSL contexts for one registry's certificates, made at first use: reading authorities takes time.

    As in moby the authorities apply to every host that the registry leads to, such as token servers; unlike in moby
    only `owner`, host and port of the registry, gets the client certificates.
    """

    def __init__(
        self, *, verify: bool, certificates: Certificates = NO_CERTIFICATES, owner: tuple[str, int] = ("", 0)
    ) -> None:
        self._verify = verify
        self._certificates = certificates
        self._owner = owner
        self._made: dict[bool, ssl.SSLContext] = {}

    def of(self, host: str, port: int) -> ssl.SSLContext:
        """The context for a host. Raises RegistryUnreachable for an unusable file."""
        shown = bool(self._certificates.clients) and (host, port) == self._owner
        if shown not in self._made:
            certificates = self._certificates if shown else self._certificates._replace(clients=())
            self._made[shown] = context(verify=self._verify, certificates=certificates)
        return self._made[shown]


def context(*, verify: bool, certificates: Certificates = NO_CERTIFICATES) -> ssl.SSLContext:
    """Python's default context, made to trust what Go trusts. Raises RegistryUnreachable for an unusable file."""
    bundle = Path(os.environ.get("SSL_CERT_FILE") or os.devnull)
    with _reading(bundle, ""), suppress(FileNotFoundError):
        small_file.require_regular(bundle)  # OpenSSL would wait for a pipe's writer
    made = ssl.create_default_context()  # SSL_CERT_FILE and SSL_CERT_DIR replace the system's authorities
    # Set by default since Python 3.13. It refuses private authorities that docker accepts, such as those whose
    # certificates lack an authority key identifier.
    made.verify_flags &= ~ssl.VERIFY_X509_STRICT
    # In Go any trusted certificate ends a chain: an intermediate authority's, the server's own.
    made.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    if not verify:
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
    _trust_folders(made, os.environ.get("SSL_CERT_DIR", ""))
    for authority in certificates.authorities:
        with _reading(authority, "holds no certificate that can be read"):
            small_file.require_regular(authority)
            made.load_verify_locations(authority)
    # Go presents the first certificate that the server accepts, OpenSSL the last one loaded.
    for certificate, key in reversed(certificates.clients):
        for file in (certificate, key):
            with _reading(file, ""):
                small_file.read(file, _LARGEST)  # OpenSSL does not say which of the two is unreadable
        with _reading(certificate, f"no client certificate that {key.name} is the key of"):
            # No passphrase is asked for: docker's engine cannot use an encrypted key either.
            made.load_cert_chain(certificate, key, password="")
    return made


def _trust_folders(made: ssl.SSLContext, folders: str) -> None:
    """Load every file of the folders, as Go does; OpenSSL finds only files named by hash."""
    for folder in filter(None, folders.split(":")):
        with suppress(OSError):
            for file in sorted(Path(folder).iterdir()):
                with suppress(OSError):
                    small_file.require_regular(file)
                    made.load_verify_locations(file)


@contextmanager
def _reading(file: Path, otherwise: str) -> Iterator[None]:
    try:
        yield
    except ssl.SSLError:
        raise _unusable(file, otherwise) from None
    except OSError as error:
        raise _unusable(file, (error.strerror or "cannot be read").lower()) from None


def _unusable(place: Path, reason: str) -> RegistryUnreachable:
    return RegistryUnreachable(clean(f"{place}: {reason}", limit=500))

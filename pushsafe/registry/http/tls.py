"""TLS to registries: whom docker trusts, and the certificates that its engine keeps for a registry in certs.d."""

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
    """Files for one registry: authorities to trust besides the system's, client certificates each with its key."""

    authorities: tuple[Path, ...] = ()
    clients: tuple[tuple[Path, Path], ...] = ()


NO_CERTIFICATES = Certificates()
_LARGEST = 1 << 20
"""Bytes of a client certificate or of its key."""


def certs_d(environ: Mapping[str, str]) -> tuple[Path, ...]:
    """Where engines on this machine look, the user's own rootless one first (moby `daemon/pkg/registry/config.go`)."""
    config = environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")  # noqa: PTH111  Path's raises
    return Path(config, "docker", "certs.d"), Path("/etc/docker/certs.d")


def certificates(registry: str, folders: Sequence[Path]) -> Certificates:
    """The files of the first folder that knows a registry, `HOST[:PORT]`; nothing is read yet.

    By the rules of moby's `daemon/pkg/registry/registry.go` (loadTLSConfig). Raises RegistryUnreachable where half of
    a pair is missing, as the engine's push fails.
    """
    for folder in folders:
        try:
            names = sorted(os.listdir(folder / registry))  # noqa: PTH208  a list of names it is
        except OSError:
            continue  # none; or one into which only the engine may look
        return _sorted_out(folder / registry, names)
    return NO_CERTIFICATES


def _sorted_out(folder: Path, names: Sequence[str]) -> Certificates:
    pairs = {name: _other_half(name) for name in names if name.endswith((".cert", ".key"))}
    for name, half in pairs.items():
        if half in names:
            continue
        if name.endswith(".cert"):
            raise _unusable(folder, f"missing key {half} for client certificate {name} (an authority's is *.crt)")
        raise _unusable(folder, f"missing client certificate {half} for key {name}")
    return Certificates(
        tuple(folder / name for name in names if name.endswith(".crt")),
        tuple((folder / name, folder / key) for name, key in pairs.items() if name.endswith(".cert")),
    )


def _other_half(name: str) -> str:
    stem, _, kind = name.rpartition(".")
    return f"{stem}.{'key' if kind == 'cert' else 'cert'}"


class Contexts:
    """The SSL contexts for one registry's certificates, made when TLS is first spoken: reading authorities takes time.

    As in moby the authorities are those of every host on the way, token servers and redirects included; unlike there
    the client certificates are shown to `owner` alone, host and port of the registry itself.
    """

    def __init__(
        self, *, verify: bool, certificates: Certificates = NO_CERTIFICATES, owner: tuple[str, int] = ("", 0)
    ) -> None:
        self._verify = verify
        self._certificates = certificates
        self._owner = owner
        self._made: dict[bool, ssl.SSLContext] = {}

    def of(self, host: str, port: int) -> ssl.SSLContext:
        """Raises RegistryUnreachable for a file that cannot be used."""
        shown = bool(self._certificates.clients) and (host, port) == self._owner
        if shown not in self._made:
            certificates = self._certificates if shown else self._certificates._replace(clients=())
            self._made[shown] = context(verify=self._verify, certificates=certificates)
        return self._made[shown]


def context(*, verify: bool, certificates: Certificates = NO_CERTIFICATES) -> ssl.SSLContext:
    """What docker takes: Python's own context as Go would have it. Raises RegistryUnreachable for an unusable file."""
    bundle = Path(os.environ.get("SSL_CERT_FILE") or os.devnull)
    with _reading(bundle, ""), suppress(FileNotFoundError):
        small_file.require_regular(bundle)  # OpenSSL waits for whoever may write to a pipe
    made = ssl.create_default_context()  # whose authorities SSL_CERT_FILE and SSL_CERT_DIR replace
    # Set by default since Python 3.13. It refuses private authorities that docker pushes to, e.g. those whose
    # certificates lack an authority key identifier, and a registry must not be out of reach from here only.
    made.verify_flags &= ~ssl.VERIFY_X509_STRICT
    # To Go whatever is trusted ends a chain: an intermediate authority, the server's own certificate.
    made.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    if not verify:
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
    _trust_folders(made, os.environ.get("SSL_CERT_DIR", ""))
    for authority in certificates.authorities:
        with _reading(authority, "holds no certificate that can be read"):
            small_file.require_regular(authority)
            made.load_verify_locations(authority)
    # Go shows the first that the server likes, OpenSSL the one that came last.
    for certificate, key in reversed(certificates.clients):
        for file in (certificate, key):
            with _reading(file, ""):
                small_file.read(file, _LARGEST)  # OpenSSL does not say which of the two it could not read
        with _reading(certificate, f"no client certificate that {key.name} is the key of"):
            made.load_cert_chain(certificate, key, password=_no_password)
    return made


def _trust_folders(made: ssl.SSLContext, folders: str) -> None:
    """Every file of a folder, as Go reads it; OpenSSL finds those only that are named by a hash."""
    for folder in filter(None, folders.split(":")):
        with suppress(OSError):
            for file in sorted(Path(folder).iterdir()):
                with suppress(OSError):
                    small_file.require_regular(file)
                    made.load_verify_locations(file)


def _no_password() -> str:
    """Nobody is asked for one: docker's engine cannot use such a key either."""
    return ""


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

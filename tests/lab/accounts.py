"""The lab's accounts, and what proves them: fake passwords, an htpasswd file, a token key with its certificate."""

import datetime
from collections.abc import Mapping
from pathlib import Path

import bcrypt
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from .paths import write_private

ACTIONS: Mapping[str, tuple[str, ...]] = {"writer": ("pull", "push", "delete"), "reader": ("pull",)}


def write_htpasswd(path: Path, name: str, password: str) -> None:
    """distribution reads bcrypt only, and checks it on every request: the cheapest cost there is."""
    hashed = bcrypt.hashpw(password.encode(), bcrypt.gensalt(rounds=4)).decode()
    write_private(path, f"{name}:{hashed}\n")


def write_token_key(key_path: Path, certificate_path: Path) -> None:
    """A signing key, and the self-signed certificate that goes into distribution's `rootcertbundle`."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "pushsafe lab token server")])
    today = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(today - datetime.timedelta(days=1))
        .not_valid_after(today + datetime.timedelta(days=3650))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    write_private(certificate_path, certificate.public_bytes(serialization.Encoding.PEM).decode())
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    write_private(key_path, private.decode())

"""Make the certificates of one cluster: a private authority, and one certificate for all.

Dask checks that the other side has a certificate of the same authority, but neither the host
name in it nor its role. So a second certificate would allow nothing else than the first one, and
an authority is good for one cluster only. The key of the authority is not kept: nobody can make a
third side. To renew the certificates is to make a new authority.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shlex
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import featurelib.extras
from jobs.errors import UsageError
from jobs.execution.clusters.tls import CA, CERT, KEY

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.x509 import Certificate, CertificateBuilder, KeyUsage, Name

#: How far the clocks of the machines may be apart.
_CLOCKS_APART = timedelta(hours=1)


def write_certificates(folder: str | Path, days: int, *, force: bool = False) -> datetime:
    """Make the certificates of a cluster in a folder, which only this user can read.

    Parameters
    ----------
    folder : str or Path
        The folder; it is made if it is not there.
    days : int
        How long they are valid [days].
    force : bool
        Replace the certificates that are there.

    Returns
    -------
    datetime
        When they expire.

    Raises
    ------
    MissingExtraError
        If the library that makes them is not installed.
    UsageError
        If there are certificates already, or the folder cannot be written.
    """
    folder = Path(folder)
    there = [name for name in (CA, CERT, KEY) if os.path.lexists(folder / name)]
    if there and not force:
        raise UsageError(
            f"{folder} has {', '.join(there)} already: give another folder, or --force to replace"
            " them; the cluster then needs the new ones on every machine"
        )
    expires = (datetime.now(UTC) + timedelta(days=days)).replace(microsecond=0)
    contents = _make(expires)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with contextlib.ExitStack() as stack:
            written = [(_write(folder / name, data, stack), name) for name, data in contents]
            for path, name in written:
                path.replace(folder / name)
    except OSError as error:
        raise UsageError(
            f"cannot write certificates to {folder}: {error.strerror}; give a folder that you may"
            f" write, such as {shlex.quote(os.path.expanduser('~/.config/featurelib/tls'))}"
        ) from error
    return expires


def _write(path: Path, data: bytes, stack: contextlib.ExitStack) -> Path:
    """Write a file beside a path, for this user alone; it is deleted unless it is renamed."""
    beside = path.with_name(f".{path.name}-{secrets.token_hex(4)}")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    stack.callback(beside.unlink, missing_ok=True)
    with open(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    return beside


def _make(expires: datetime) -> list[tuple[str, bytes]]:
    """Return the contents of the files, by name."""
    with featurelib.extras.needing("cluster"):
        from cryptography import x509
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ec

    # two authorities never have the same name, so that errors tell them apart
    authority = _name(f"featurelib cluster authority {secrets.token_hex(4)}")
    authority_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    ca = _signed(
        _builder(authority, authority_key, authority, expires)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True),
        authority_key,
    )
    both_roles = [x509.ExtendedKeyUsageOID.SERVER_AUTH, x509.ExtendedKeyUsageOID.CLIENT_AUTH]
    cert = _signed(
        _builder(_name("featurelib cluster"), key, authority, expires)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(both_roles), critical=False)
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName("featurelib-cluster")]), critical=False
        ),
        authority_key,
    )
    pem = serialization.Encoding.PEM
    key_format = serialization.PrivateFormat.PKCS8
    return [
        (KEY, key.private_bytes(pem, key_format, serialization.NoEncryption())),
        (CERT, cert.public_bytes(pem)),
        (CA, ca.public_bytes(pem)),
    ]


def _name(text: str) -> Name:
    from cryptography import x509

    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])


def _key_usage(*, signs_certificates: bool) -> KeyUsage:
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


def _builder(
    subject: Name, key: EllipticCurvePrivateKey, issuer: Name, expires: datetime
) -> CertificateBuilder:
    from cryptography import x509

    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.now(UTC) - _CLOCKS_APART)
        .not_valid_after(expires)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _signed(builder: CertificateBuilder, authority_key: EllipticCurvePrivateKey) -> Certificate:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes

    authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key())
    return builder.add_extension(authority, critical=False).sign(authority_key, hashes.SHA256())

"""The certificates with which scheduler, workers and client recognize each other."""

from __future__ import annotations

import contextlib
import os
import shlex
import ssl
from pathlib import Path

import dask
import distributed

from jobs.errors import UsageError
from jobs.settings import Settings

#: Names of the files in a folder of certificates.
CA, CERT, KEY = FILES = ("ca.pem", "cert.pem", "key.pem")

#: Where Dask's configuration names the files of a client.
_CONFIG = "distributed.comm.tls"
_CLIENT_FILES = ("ca-file", "client.cert", "client.key")

_ROLES = ("client", "scheduler", "worker")


def security_of(settings: Settings) -> distributed.Security | None:
    """Return the certificates of a cluster, as Dask wants them.

    Parameters
    ----------
    settings : Settings
        ``settings.tls`` is the folder of the certificates. Without it, Dask's configuration
        (``distributed.comm.tls``) names them.

    Returns
    -------
    distributed.Security or None
        With it, plain connections are refused. None if there are no certificates.

    Raises
    ------
    UsageError
        If a file is missing, cannot be read by this user, can be read by all others, has
        expired, or does not belong to the rest.
    """
    if settings.tls is not None:
        return _from_folder(settings.tls)
    return _from_configuration()


def certificate_files(folder: str) -> dict[str, str]:
    """Return the files in a folder of certificates, by the names of `distributed.Security`."""
    ca, cert, key = (os.path.join(folder, name) for name in FILES)
    files = {"tls_ca_file": ca}
    for role in _ROLES:
        files |= {f"tls_{role}_cert": cert, f"tls_{role}_key": key}
    return files


def _from_folder(folder: str) -> distributed.Security:
    for name in FILES:
        _check_readable(Path(folder, name), folder)
    security = distributed.Security(
        require_encryption=True, **certificate_files(os.path.abspath(folder))
    )
    try:
        _greet(security)
    except OSError as error:
        raise UsageError(
            f"the certificates in {folder} cannot be used: {_reason(error)};"
            f" {_make_new(folder, ' --force')}"
        ) from error
    return security


def _from_configuration() -> distributed.Security | None:
    if all(dask.config.get(f"{_CONFIG}.{name}") is None for name in _CLIENT_FILES):
        return None
    security = distributed.Security()
    for name in _CLIENT_FILES:
        _check_configured(f"{_CONFIG}.{name}", dask.config.get(f"{_CONFIG}.{name}"))
    try:
        context = security.get_connection_args("client")["ssl_context"]
    except OSError as error:
        raise UsageError(
            f"the certificates for TLS cannot be used: {_reason(error)}; check the files that"
            f" {_CONFIG} in Dask's configuration names, or give --tls DIR (see deploy/README.md)"
        ) from error
    if context is None:
        raise UsageError(
            f"{_CONFIG} in Dask's configuration has to name ca-file and client.cert: name both, or"
            " give --tls DIR (see deploy/README.md)"
        )
    security.require_encryption = True
    return security


def _check_readable(path: Path, folder: str) -> None:
    try:
        with path.open("rb"):
            mode = path.stat().st_mode
    except OSError as error:
        raise UsageError(
            f"tls: {path}: {error.strerror}; copy the certificates of the cluster there, or"
            f" {_make_new(folder)}"
        ) from error
    if path.name == KEY and mode & 0o004:
        raise UsageError(
            f"tls: every user of this machine can read {path}, and could run code on the cluster"
            f" with it: chmod 600 {shlex.quote(str(path))}"
        )


def _check_configured(name: str, path: str | None) -> None:
    if path is None or "\n" in path:  # Dask also takes the contents of the file
        return
    try:
        with open(path, "rb"):
            pass
    except OSError as error:
        raise UsageError(
            f"{name} in Dask's configuration names {path}: {error.strerror}; correct the name, or"
            " make the file (see deploy/README.md)"
        ) from error


def _greet(security: distributed.Security) -> None:
    """Let a worker and a scheduler with the same files shake hands, in memory.

    Raises
    ------
    OSError
        An `ssl.SSLError` if a scheduler and a worker with these files would refuse each other.
    """
    to_scheduler, to_worker = ssl.MemoryBIO(), ssl.MemoryBIO()
    worker_side = security.get_connection_args("worker")["ssl_context"]
    scheduler_side = security.get_listen_args("scheduler")["ssl_context"]
    worker = worker_side.wrap_bio(to_worker, to_scheduler)
    scheduler = scheduler_side.wrap_bio(to_scheduler, to_worker, server_side=True)
    for side in (worker, scheduler, worker, scheduler):  # each speaks twice
        with contextlib.suppress(ssl.SSLWantReadError):
            side.do_handshake()


def _reason(error: OSError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    return (error.reason if isinstance(error, ssl.SSLError) else error.strerror) or str(error)


def _make_new(folder: str, option: str = "") -> str:
    return (
        f"make new ones with featurelib cluster certificates {shlex.quote(folder)}{option}, and"
        " copy them to every machine of the cluster"
    )

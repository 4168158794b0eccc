"""Schedulers and workers that are started by hand, with certificates."""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from jobs.execution.clusters.certificates import write_certificates
from tests.support.driver import ROOT, Command, running, wait_until

DASK = [sys.executable, "-m", "dask"]
FEATURELIB = [sys.executable, "-c", "from jobs.cli import main; main()"]


def certificates(folder: Path) -> Path:
    """Make certificates of another cluster in a folder, and return it."""
    write_certificates(folder, 30)
    return folder


def tls_options(folder: Path) -> list[str]:
    """Return the options of Dask's commands for a folder of certificates."""
    files = {"--tls-ca-file": "ca.pem", "--tls-cert": "cert.pem", "--tls-key": "key.pem"}
    return [text for option, name in files.items() for text in (option, str(folder / name))]


@contextlib.contextmanager
def tls_scheduler(tls: Path, folder: Path) -> Iterator[tuple[str, Command]]:
    """Start a scheduler with certificates, as deploy/README.md says; give its address."""
    line = [*DASK, "scheduler", "--protocol", "tls", "--host", "127.0.0.1", "--port", "0"]
    line += ["--dashboard-address", "127.0.0.1:0", *tls_options(tls)]
    environment = ["env", f"DASK_CONFIG={ROOT / 'deploy' / 'dask.yaml'}"]
    with running([*environment, *line], folder) as scheduler:
        wait_until(lambda: "Scheduler at:" in scheduler.stderr, "the scheduler's address")
        match = re.search(r"Scheduler at: +(tls://127.0.0.1:\d+)", scheduler.stderr)
        assert match is not None
        yield match[1], scheduler


@contextlib.contextmanager
def joining(address: str, tls: Path, folder: Path, n_workers: int = 2) -> Iterator[Command]:
    """Start the workers of a machine: ``featurelib cluster worker``."""
    line = [*FEATURELIB, "cluster", "worker", address, "--tls", str(tls)]
    line += ["--workers", str(n_workers), "--local-directory", str(folder)]
    with running(line, folder) as workers:
        yield workers

"""Commands for clusters: cluster certificates, cluster worker."""

from __future__ import annotations

import json
import shlex

import click

from jobs.cli.group import cli
from jobs.cli.options import common_options
from jobs.cli.output import print_lines
from jobs.settings import Settings


@cli.group("cluster", short_help="Make certificates of a cluster, and start workers.")
def cluster() -> None:
    """Make the certificates of a cluster, and start workers of it by hand."""


@cluster.command(short_help="Make the certificates of a cluster.")
@click.argument("folder", metavar="DIR", type=click.Path(file_okay=False))
@click.option(
    "--days",
    metavar="N",
    type=click.IntRange(1, 3650),
    default=365,
    help="How long they are valid (default 365).",
)
@click.option("--force", is_flag=True, help="Replace the certificates that are in DIR.")
@common_options
def certificates(folder: str, days: int, force: bool, as_json: bool, debug: bool) -> int:
    """Make the certificates of one cluster in DIR, for --tls DIR.

    They are one authority, ca.pem, and one certificate with its key, cert.pem and key.pem, which
    scheduler, workers and client share. Whoever has key.pem can run code on the cluster. The key
    of the authority is not kept: to renew the certificates, make all of them again with --force
    between two runs, and copy them to every machine of the cluster.
    """
    from jobs.execution.clusters.certificates import write_certificates
    from jobs.execution.clusters.tls import CA, CERT, KEY

    expires = write_certificates(folder, days, force=force)
    if as_json:
        files = {"folder": folder, "ca": CA, "cert": CERT, "key": KEY}
        click.echo(json.dumps(files | {"expires": expires.isoformat()}))
        return 0
    there = shlex.quote(folder)
    print_lines([f"Certificates, valid until {expires:%Y-%m-%d %H:%M} UTC: {folder}"])
    print_lines(
        [f"Whoever has {KEY} can run code on the cluster. Copy the folder to its machines;"]
    )
    print_lines(
        [f"start runs with --tls {there}, workers with featurelib cluster worker --tls DIR."]
    )
    return 0


@cluster.command(short_help="Start workers on this machine, for a scheduler elsewhere.")
@click.argument("address")
@click.option("--tls", metavar="DIR", help="Certificates of the cluster.")
@click.option(
    "--workers", metavar="N", type=click.IntRange(1), help="Number of workers (default: cores)."
)
@click.option(
    "--worker-memory", metavar="SIZE", default="auto", help="Memory limit of each worker."
)
@click.option("--local-directory", metavar="DIR", help="Folder for temporary files of Dask.")
@click.option(
    "--wait",
    metavar="SECONDS",
    type=click.FloatRange(0),
    help="How long to wait for the scheduler (default: for ever).",
)
@click.option("--debug", is_flag=True, help="Show tracebacks.")
def worker(
    address: str,
    tls: str | None,
    workers: int | None,
    worker_memory: str,
    local_directory: str | None,
    wait: float | None,
    debug: bool,
) -> int:
    """Start workers on this machine for the scheduler at ADDRESS, such as tls://HOST:8786.

    They wait until the scheduler is there and end with it. A service manager or Kubernetes starts
    them again, for the next run.
    """
    settings = Settings(worker_memory=worker_memory)
    from jobs.execution.clusters.worker import WorkerOptions, become_workers

    options = WorkerOptions(address, tls, workers, settings.worker_memory, local_directory, wait)
    become_workers(
        options, lambda: print_lines([f"waiting for the scheduler at {address}"], err=True)
    )

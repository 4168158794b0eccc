"""Commands for clusters: cluster certificates."""

from __future__ import annotations

import json
import shlex

import click

from jobs.cli.group import cli
from jobs.cli.options import common_options
from jobs.cli.output import print_lines


@cli.group("cluster", short_help="Prepare a cluster: its certificates.")
def cluster() -> None:
    """Prepare a cluster."""


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
    print_lines([f"Whoever has {KEY} can run code on the cluster. Copy the folder to its machines;"])
    print_lines([f"start runs with --tls {there}, workers with featurelib cluster worker --tls DIR."])
    return 0

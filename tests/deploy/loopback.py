"""Run the commands of deploy/ on this machine, with folders and addresses of a test."""

from __future__ import annotations

import contextlib
import re
import socket
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from jobs.execution.clusters.certificates import write_certificates
from tests.support.driver import Command, running

#: How the programs of an image are started here.
_PROGRAMS = {
    "featurelib": [sys.executable, "-c", "import jobs.cli; jobs.cli.main()"],
    "dask": [sys.executable, "-m", "dask"],
}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as one:
        return one.getsockname()[1]


def certificates(folder: Path) -> Path:
    """Make certificates of a cluster."""
    write_certificates(folder, days=1)
    return folder


def replaced(arguments: Sequence[str], places: Mapping[str, str]) -> list[str]:
    """Return arguments with the names of places replaced, each of which must be there."""
    text = "\0".join(arguments)
    for name in places:
        assert name in text, name
    names = re.compile("|".join(map(re.escape, places)))
    return names.sub(lambda found: places[found[0]], text).split("\0")


@contextlib.contextmanager
def started(program: str, arguments: Sequence[str], folder: Path) -> Iterator[Command]:
    """Start a program of the image; end all of it with the context."""
    with running([*_PROGRAMS[program], *arguments], folder) as command:
        yield command

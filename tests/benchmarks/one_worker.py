"""One worker's work in a process of its own, which says what memory it takes.

``python -m tests.benchmarks.one_worker files FOLDER N`` sends N files through, and prints
after every 250 how many there were and the resident memory [MiB]; ``... peak FILE``
extracts one file and prints the peak [MiB].
"""

from __future__ import annotations

import os
import resource
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jobs.execution.native import ONE_THREAD

os.environ.update(ONE_THREAD)

import featurelib
from jobs.corpus.source_file import SourceFile
from jobs.execution.context import Extractor, TaskContext
from jobs.execution.sharding import shard_of
from jobs.execution.task import extract_shard, prepare
from jobs.execution.version import code_version
from jobs.table.staging import Origin

_EVERY = 250
_SHARD = 500


class Sampled:
    """The extractor, which now and then notes the resident memory."""

    def __init__(self) -> None:
        self._count = 0
        self.notes: list[str] = []

    def __call__(self, source: Any, spec: featurelib.FeatureSpec) -> Iterator[featurelib.Rows]:
        yield from featurelib.extract_rows(source, spec)
        self._count += 1
        if self._count % _EVERY == 0:
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            self.notes.append(f"{self._count} {pages * resource.getpagesize() / 2**20}")


def files(folder: Path, n: int) -> None:
    """Send n files through, the same ones again and again."""
    names = sorted(os.listdir(folder))
    items = [SourceFile(name, (folder / name).stat().st_size, "") for name in names]
    items = (items * (n // len(items) + 1))[:n]
    with tempfile.TemporaryDirectory() as table:
        sampled = Sampled()
        job = _job(folder, table, sampled)
        for start in range(0, n, _SHARD):
            result = extract_shard(job, shard_of(0, items[start : start + _SHARD]))
            assert result.n_files == len(items[start : start + _SHARD])
    print(*sampled.notes, sep="\n")


def peak(path: Path) -> None:
    """Extract one file."""
    with tempfile.TemporaryDirectory() as table:
        job = _job(path.parent, table, featurelib.extract_rows)
        prepare(job)
        extract_shard(job, shard_of(0, [SourceFile(path.name, path.stat().st_size, "")]))
    # Not getrusage's, which goes back to the process that started this one.
    [line] = [s for s in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in s]
    print(int(line.split()[1]) / 1024)


def _job(folder: Path, table: str, extractor: Extractor) -> TaskContext:
    spec = featurelib.get_spec("genre-v1").to_dict()
    origin = Origin(str(folder), 1)
    return TaskContext("run", str(folder), table, spec, code_version(), origin, extractor=extractor)


if __name__ == "__main__":
    if sys.argv[1] == "files":
        files(Path(sys.argv[2]), int(sys.argv[3]))
    else:
        peak(Path(sys.argv[2]))

"""The files of a table that are verified, and their rows."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from jobs.table.layout import is_errors
from jobs.table.reader import Table
from jobs.table.schema import CHANNEL, PATH, SEGMENT

#: Longer files are taken last and not verified: librosa would need gigabytes of memory [s].
MAX_S = 1200.0

#: Most rows of one file that are verified; they are spread over the file.
_MAX_ROWS = 8

#: Columns about the file that a verification reads.
_FACTS = (PATH, CHANNEL, SEGMENT, "source_version", "duration_s", "n_streams")


class SampledFile(NamedTuple):
    """A file to verify, with its rows in the table.

    Attributes
    ----------
    path : str
        Stored path.
    version : str or None
        Version of the bytes from which the rows were computed; None if any is right.
    duration_s : float
        Duration of the signal [s].
    n_streams : int
        Number of streams.
    rows : list of dict
        Channel, segment and values of the rows.
    """

    path: str
    version: str | None
    duration_s: float
    n_streams: int
    rows: list[dict[str, Any]]


def sample_files(table: Table, n: int) -> tuple[dict[str, list[str]], int]:
    """Choose files of a table by a hash of their paths: the same ones each time.

    Parameters
    ----------
    table : Table
        The table.
    n : int
        Number of files.

    Returns
    -------
    chosen : dict of str to list of str
        Paths of the chosen files, by part.
    n_files : int
        Number of files in the table.
    """
    seed = int(table.metadata.fingerprint, 16)
    hashes = [np.empty(0, np.uint64)]

    def ranked() -> Iterator[tuple[bool, int, str, str]]:
        for part in sorted(table.parts):
            if is_errors(part):
                continue
            first = table.first_rows(part, [PATH, "duration_s"])
            is_long = pc.greater(first["duration_s"], MAX_S).to_pylist()
            paths = first[PATH].to_pylist()
            ranks = [xxhash.xxh3_64_intdigest(path.encode(), seed) for path in paths]
            hashes.append(np.array(ranks, np.uint64))
            for path, rank, late in zip(paths, ranks, is_long, strict=True):
                yield bool(late), rank, path, part

    chosen: dict[str, str] = {}
    for _, _, path, part in heapq.nsmallest(2 * n, ranked()):
        if len(chosen) < n:  # while a run moves it, a file is in two parts
            chosen.setdefault(path, part)
    by_part: dict[str, list[str]] = {}
    for path, part in chosen.items():
        by_part.setdefault(part, []).append(path)
    return by_part, len(np.unique(np.concatenate(hashes)))


def files_of(table: Table, part: str, paths: list[str], names: list[str]) -> Iterator[SampledFile]:
    """Yield the chosen files of a part, with some of their rows; not those that are gone from it.

    Parameters
    ----------
    table : Table
        The table.
    part : str
        The part.
    paths : list of str
        Paths of the files.
    names : list of str
        Feature columns.
    """
    wanted = pa.array(paths, pa.string())
    pieces = [
        rows.filter(pc.is_in(rows[PATH], wanted))
        for rows in table.row_groups(part, [*_FACTS, *names])
    ]
    rows = pa.concat_tables(pieces).combine_chunks()
    for path in sorted(paths):
        own = rows.filter(pc.equal(rows[PATH], path))
        own = own.sort_by([(CHANNEL, "ascending"), (SEGMENT, "ascending")])
        if not len(own):
            continue  # a run has moved it meanwhile
        some = np.unique(np.linspace(0, len(own) - 1, _MAX_ROWS).round().astype(np.int64))
        own = own.take(pa.array(some))
        facts = own.slice(0, 1).select(list(_FACTS)).to_pylist()[0]
        yield SampledFile(
            path,
            facts["source_version"],
            facts["duration_s"],
            facts["n_streams"],
            own.select([CHANNEL, SEGMENT, *names]).to_pylist(),
        )

"""Fragments: what one attempt at a shard leaves behind, until its bucket is merged."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

import featurelib
from jobs.paths import encode_path
from jobs.plan import Outcome
from jobs.schema import (
    ERROR_KIND,
    MAX_MESSAGE,
    PATH,
    SEGMENT,
    fragment_schema,
    from_parquet,
    to_parquet,
)
from jobs.storage import Store

RUNS = "_job/runs"
_NAME = re.compile(rf"{RUNS}/(?P<run>[^/]+)/fragments/b(?P<bucket>\d+)-(?P<attempt>\w+)\.parquet")


def fragment_name(run_id: str, bucket: int) -> str:
    """Return a new fragment's name, unique to the attempt."""
    return f"{RUNS}/{run_id}/fragments/b{bucket:05d}-{uuid.uuid4().hex}.parquet"


def run_and_bucket(name: str) -> tuple[str, int] | None:
    """Return the run and bucket that a fragment's name tells; None for another file."""
    match = _NAME.fullmatch(name)
    return (match["run"], int(match["bucket"])) if match else None


class FragmentFiles:
    """Names of fragments, by bucket."""

    def __init__(self) -> None:
        self._by_bucket: dict[int, list[str]] = {}

    def add(self, name: str) -> None:
        """Take in a name; one of no fragment is passed over."""
        found = run_and_bucket(name)
        if found is not None:
            self._by_bucket.setdefault(found[1], []).append(name)

    def of_bucket(self, bucket: int) -> list[str]:
        """Return the names of a bucket's fragments, earliest run first."""
        return sorted(self._by_bucket.get(bucket, ()))

    def beyond(self, n_buckets: int) -> list[str]:
        """Return the names of fragments for buckets that are none: an earlier table's."""
        return [
            n for bucket, names in self._by_bucket.items() if bucket >= n_buckets for n in names
        ]

    def names(self) -> list[str]:
        """Return all names."""
        return [name for names in self._by_bucket.values() for name in names]

    def __len__(self) -> int:
        return sum(len(names) for names in self._by_bucket.values())


@dataclass(frozen=True)
class Origin:
    """What a fragment's rows are of; of another corpus, or cut otherwise, they are of no use."""

    corpus: str
    """Canonical location that paths are relative to."""
    n_buckets: int

    def metadata(self) -> dict[str, str]:
        """Return it as metadata of an Arrow schema."""
        return {"corpus": self.corpus, "n_buckets": str(self.n_buckets)}

    def is_of(self, rows: pa.Table) -> bool:
        """Say whether rows were made with this origin."""
        found = rows.schema.metadata or {}
        return all(found.get(k.encode()) == v.encode() for k, v in self.metadata().items())


@dataclass
class FragmentBuilder:
    """Collects the rows and errors of a shard as columns."""

    spec: featurelib.FeatureSpec
    run_id: str
    origin: Origin
    _columns: dict[str, list[Any]] = field(init=False)
    _schema: pa.Schema = field(init=False)

    def __post_init__(self) -> None:
        self._schema = fragment_schema(self.spec)
        self._columns = {name: [] for name in self._schema.names}
        self._signal = list(featurelib.schema(self.spec).names)

    def __len__(self) -> int:
        return len(self._columns[PATH])

    def add_rows(self, path: str, version: str, size: int, columns: dict[str, list[Any]]) -> None:
        """Add a file's rows, as `featurelib.extract_columns` gives them."""
        n_rows = len(columns[self._signal[0]])
        for name in self._signal:
            self._columns[name].extend(columns[name])
        self._add_common(path, version, size, n_rows, None, None)

    def add_error(self, path: str, version: str, size: int | None, kind: str, message: str) -> None:
        """Add a file that could not be used."""
        for name in self._signal:
            self._columns[name].append(None)
        # a message may quote a name that is not UTF-8
        self._add_common(path, version, size, 1, kind, encode_path(message)[:MAX_MESSAGE])

    def _add_common(
        self,
        path: str,
        version: str,
        size: int | None,
        n_rows: int,
        kind: str | None,
        message: str | None,
    ) -> None:
        values = {
            PATH: path,
            ERROR_KIND: kind,
            "message": message,
            "size_bytes": size,
            "source_version": version,
            "spec_fingerprint": self.spec.fingerprint,
            "run_id": self.run_id,
        }
        for name, value in values.items():
            self._columns[name].extend([value] * n_rows)

    def to_bytes(self) -> bytes:
        """Return the fragment as a Parquet file."""
        schema = self._schema.with_metadata(self.origin.metadata())
        return to_parquet(pa.table(self._columns, schema=schema))


def read_fragments(
    store: Store, names: Sequence[str], schema: pa.Schema, origin: Origin
) -> pa.Table:
    """Return the rows of all fragments that are whole and of this origin.

    One that is gone or damaged is passed over when work is planned, and its files are
    extracted again.

    Raises
    ------
    OSError
        If the storage fails: that says nothing of the fragment.
    """
    tables = []
    for name in names:
        try:
            data, _ = store.read(name)
        except FileNotFoundError:
            continue
        try:
            table = from_parquet(data)
        except (pa.ArrowException, OSError):  # Arrow's errors over damaged bytes
            continue
        if table.schema.equals(schema) and origin.is_of(table):
            tables.append(table.replace_schema_metadata(schema.metadata))
    return pa.concat_tables(tables) if tables else schema.empty_table()


def outcomes_of(
    rows: pa.Table, accepts: Callable[[Outcome], bool]
) -> dict[str, tuple[Outcome, int]]:
    """Return, by path, the outcome that counts and the index of its first row.

    Two attempts at one file give equal rows; of a row and an error the row counts,
    and then the later one.

    Parameters
    ----------
    rows : pyarrow.Table
        Rows of fragments.
    accepts : callable
        Says which outcomes may count.
    """
    outcomes: dict[str, tuple[Outcome, int]] = {}
    names = (PATH, "source_version", "spec_fingerprint", "run_id", ERROR_KIND, SEGMENT)
    columns = zip(*(rows[name].to_pylist() for name in names), strict=True)
    for index, (*values, segment) in enumerate(columns):
        outcome = Outcome(*values)
        if segment or not accepts(outcome):
            continue
        before = outcomes.get(outcome.path)
        if before is None or outcome.error_kind is None or before[0].error_kind is not None:
            outcomes[outcome.path] = (outcome, index)
    return outcomes


def rows_from(rows: pa.Table, starts: Sequence[int]) -> pa.Table:
    """Return each file's rows, given the index of the first of each."""
    segments = rows[SEGMENT].to_pylist()
    indices: list[int] = []
    for start in starts:
        end = start + 1
        while end < len(segments) and segments[end]:  # each file's rows begin with segment 0
            end += 1
        indices.extend(range(start, end))
    return rows.take(pa.array(indices, pa.int64()))

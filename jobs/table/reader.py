"""The table on disk: what it is (table.json) and what it holds, bucket by bucket."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

import pyarrow as pa

import featurelib
from featurelib import arrow_type
from jobs import parquet, schema
from jobs.errors import ConflictError, TableBusyError, TableError, UsageError
from jobs.fragments import Origin
from jobs.labels import comparable
from jobs.paths import bucket_of_part, decode_path, label_folder, part_name
from jobs.plan import Held
from jobs.retry import with_retries
from jobs.storage import Store, is_url

FORMAT = 3
"""Version of the layout; a table of another one is refused."""

TABLE_JSON = "_job/table.json"
FEATURES = "features"
ERRORS = "errors"

#: Differences between two specs that one line of an error has room for.
_DIFFERENCES_NAMED = 5


@dataclass(frozen=True)
class RecordedSpec:
    """A spec as a table records it: enough to plan with and to read, without the spec's code."""

    values: dict[str, Any]
    """The spec as a dictionary."""
    fingerprint: str
    columns: list[dict[str, str]]
    """Name, type, unit, definition and librosa counterpart of each column of its rows."""

    @classmethod
    def of(cls, spec: featurelib.FeatureSpec) -> RecordedSpec:
        """Return a spec as it is recorded.

        Raises
        ------
        featurelib.SpecError
            If a column of its features has a name that the table needs.
        """
        columns = [asdict(column) for column in featurelib.describe(spec)]
        recorded = cls(spec.to_dict(), spec.fingerprint, columns)
        names = Counter(name.casefold() for name in schema.table_names(recorded.schema))
        for column in columns:
            if names[column["name"].casefold()] > 1:
                raise featurelib.SpecError(
                    f"features: the table has a column {column['name']!r} of its own: give the"
                    " feature another name (as = …) or another template (columns = …)"
                )
        return recorded

    @property
    def schema(self) -> pa.Schema:
        """Arrow schema of its rows."""
        return schema.row_schema(self.columns)


@dataclass(frozen=True)
class TableInfo:
    """What a table is, fixed when it is made; only its corpus may be moved."""

    corpus: str
    """Canonical location that its paths are relative to."""
    n_buckets: int
    partition_by: str
    """``label`` or ``none``."""
    labels: str
    """Where labels come from: ``none``, ``parent`` or ``file``."""
    spec: dict[str, Any]
    fingerprint: str
    """The spec's; it also tells the version of the values that the software gives."""
    columns: list[dict[str, str]]
    """Columns of the spec's rows, as `RecordedSpec` has them."""
    carried: dict[str, str]
    """Columns carried from lists and label files, with their Arrow types."""
    featurelib: str
    """Version of the software that made it."""
    format: int = FORMAT

    @classmethod
    def from_json(cls, data: bytes, where: str) -> TableInfo:
        """Read what `to_json` wrote.

        Raises
        ------
        TableError
            If it is not that, or of another format.
        """
        try:
            values = json.loads(data)
            found = values["format"]
            if found == FORMAT:
                info = cls(**values)
                info._check()
                return info
        except (
            *(ValueError, KeyError, TypeError, AttributeError, OverflowError),
            RecursionError,  # of what is nested too deeply
        ) as error:
            raise TableError(
                f"{where}/{TABLE_JSON} cannot be read ({type(error).__name__}: {error}):"
                " restore it from a copy, or make a new table with another --output"
            ) from error
        raise TableError(
            f"{where} has the table format {found}, and this version of featurelib reads {FORMAT}:"
            " make a new table of the corpus with another --output, or use the version that made it"
        )

    def _check(self) -> None:
        """Raise what a damaged value gives when it is used."""
        if not isinstance(self.n_buckets, int) or not isinstance(self.spec, dict):
            raise TypeError("n_buckets or spec is of another type")
        rows = self.recorded_spec.schema
        schema.feature_schema(rows, self.carried_schema)

    def to_json(self) -> bytes:
        return json.dumps(asdict(self), indent=1, ensure_ascii=True).encode()

    @property
    def recorded_spec(self) -> RecordedSpec:
        return RecordedSpec(self.spec, self.fingerprint, self.columns)

    @property
    def carried_schema(self) -> pa.Schema:
        return pa.schema([(name, arrow_type(text)) for name, text in self.carried.items()])


def carried_types(carried: pa.Schema) -> dict[str, str]:
    """Return carried columns as table.json has them.

    Raises
    ------
    UsageError
        If a column's type is not one that can be carried.
    """
    types = {}
    for field in carried:
        try:
            arrow_type(str(field.type))
        except ValueError as error:
            raise UsageError(
                f"column {field.name!r} has the type {field.type}, which cannot be carried:"
                " make it a string, number, boolean, date or timestamp without a time zone"
            ) from error
        types[field.name] = str(field.type)
    return types


class Table:
    """A table that is made already, as one driver or reader sees it."""

    def __init__(self, store: Store, info: TableInfo) -> None:
        self.store = store
        self.info = info
        self.carried = info.carried_schema
        rows = info.recorded_spec.schema
        self.feature_schema = schema.feature_schema(rows, self.carried)
        self.error_schema = schema.error_schema(self.carried)
        self.fragment_schema = schema.fragment_schema(rows)
        self._n_rows: dict[tuple[str, str], int] = {}
        self.parts: dict[str, str] = {}
        self._by_bucket: dict[int, list[str]] = {}
        self.refresh()

    def refresh(self) -> dict[str, str]:
        """List the parts and their versions anew, and return them."""
        found = list_parts(self.store)
        self.parts, self._by_bucket = {}, {}
        for name, version in found.items():
            self.set_part(name, version)
        return found

    def set_part(self, name: str, version: str) -> None:
        """Note a part's version.

        Raises
        ------
        TableError
            If its bucket is none of the table's: rows in it would never be planned.
        """
        if _bucket(name) >= self.info.n_buckets:
            raise TableError(
                f"{self.store.url}/{name} is no part of this table, which has"
                f" {self.info.n_buckets} buckets: move it elsewhere"
            )
        if name not in self.parts:
            self._by_bucket.setdefault(_bucket(name), []).append(name)
        self.parts[name] = version

    def parts_of(self, bucket: int) -> list[str]:
        """Return the names of a bucket's parts, of all labels and the errors."""
        return sorted(self._by_bucket.get(bucket, ()))

    def part_for(self, bucket: int, label: str | None, error_kind: str | None) -> str:
        """Return the name of the part that a file's rows belong to."""
        if error_kind is not None:
            return f"{ERRORS}/{part_name(bucket)}"
        if self.info.partition_by == "none":
            return f"{FEATURES}/{part_name(bucket)}"
        return f"{FEATURES}/{label_folder(label)}/{part_name(bucket)}"

    def schema_of(self, part: str) -> pa.Schema:
        """Return the schema that a part has."""
        return self.error_schema if is_errors(part) else self.feature_schema

    @property
    def origin(self) -> Origin:
        """What fragments for this table are marked with."""
        return Origin(self.info.corpus, self.info.n_buckets)

    @property
    def fact_names(self) -> list[str]:
        """Columns that come from the listing and not from the audio."""
        return [schema.LABEL, *self.carried.names]

    def held(self, bucket: int) -> dict[str, list[Held]]:
        """Return what a bucket's parts hold, by path: an entry for each file's first row."""
        held: dict[str, list[Held]] = {}
        for part in self.parts_of(bucket):
            for entry in self._entries(part):
                held.setdefault(entry.path, []).append(entry)
        return held

    def _entries(self, part: str) -> Iterator[Held]:
        kind = [schema.ERROR_KIND] if is_errors(part) else []
        rows = self.first_rows(part, [*schema.HELD_COLUMNS, *self.fact_names, *kind])
        kinds = rows[schema.ERROR_KIND].to_pylist() if kind else [None] * len(rows)
        facts = zip(*(rows[name].to_pylist() for name in self.fact_names), strict=True)
        entries = zip(*(rows[name].to_pylist() for name in schema.HELD_COLUMNS), strict=True)
        for (path, *values), own, error in zip(entries, facts, kinds, strict=True):
            version, fingerprint, run_id = values
            yield Held(path, part, version, fingerprint, run_id, comparable(own), error)

    def first_rows(self, part: str, names: list[str]) -> pa.Table:
        """Return some columns of a part, of each file's first row only.

        Raises
        ------
        TableError
            As of `read_columns`.
        """
        if is_errors(part):
            return self.read_columns(part, names)
        key = [name for name in schema.ROW_KEY if name not in names]
        rows = self.read_columns(part, [*names, *key], first=True)
        return rows.filter(schema.is_first(rows)).select(names)

    def n_rows_by_part(self, bucket: int) -> dict[str, int]:
        """Return how many rows each of a bucket's parts of features has; `held` has read them."""
        return {part: self.n_rows(part) for part in self.parts_of(bucket) if not is_errors(part)}

    def n_rows(self, part: str) -> int:
        """Return how many rows a part has, some columns of which were read before."""
        return self._n_rows[part, self.parts[part]]

    def read_columns(self, part: str, names: list[str], *, first: bool = False) -> pa.Table:
        """Return some columns of a part.

        Parameters
        ----------
        part : str
            The part's name.
        names : list of str
            The columns.
        first : bool
            Only the row groups that hold files' first rows.

        Raises
        ------
        TableError
            If the part is damaged, or not of this table's making.
        """

        def read() -> tuple[pa.Table, int, str]:
            source, version = self.store.open(part)
            with source, parquet.open_parquet(source) as file:
                groups = parquet.first_row_groups(file) if first else None
                return parquet.read_groups(file, names, groups), file.metadata.num_rows, version

        try:
            rows, n_rows, version = with_retries(read, attempts=4, retry_if=_is_conflict)
        except (pa.ArrowInvalid, pa.ArrowKeyError, OSError) as error:
            if parquet.is_storage_error(error):
                raise
            raise self.damaged(part, error) from error
        if len(rows.column_names) != len(names):
            raise self.damaged(part, "columns are missing")
        self.set_part(part, version)
        self._n_rows[part, version] = n_rows
        return rows

    def damaged(self, part: str, why: object) -> TableError:
        """Return the error for a part that cannot be read."""
        line = str(why).splitlines()[0]
        return TableError(
            f"{self.store.url}/{part} is damaged ({line}): restore it, or delete it and run the"
            " job again, which makes its rows anew"
        )


def is_errors(part: str) -> bool:
    """Say whether a part is one of errors, not of features."""
    return part.startswith(f"{ERRORS}/")


def _is_conflict(error: BaseException) -> bool:
    return isinstance(error, ConflictError)  # replaced while it was read: open it again


def _bucket(part: str) -> int:
    bucket = bucket_of_part(part)
    assert bucket is not None
    return bucket


def list_parts(store: Store) -> dict[str, str]:
    """Return the version of every part that is published."""
    parts = {}
    for folder in (FEATURES, ERRORS):
        try:
            for page in store.scan(folder):
                parts.update(
                    {e.name: e.version for e in page if bucket_of_part(e.name) is not None}
                )
        except FileNotFoundError:
            continue
    return parts


def read_info(store: Store) -> TableInfo | None:
    """Return what a table is; None where there is none yet.

    Raises
    ------
    TableError
        If there is something else in the place.
    """
    try:
        data, _ = store.read(TABLE_JSON)
    except (FileNotFoundError, NotADirectoryError):
        data = None
    if data is not None:
        return TableInfo.from_json(data, store.url)
    try:
        for page in store.scan():
            strangers = [e.name for e in page if not e.name.startswith("_job/")]
            if strangers:
                raise TableError(
                    f"{store.url} holds other files ({strangers[0]}) and is no table of"
                    " featurelib's: give a table or, with --output, a new or empty folder"
                )
    except NotADirectoryError as error:
        raise TableError(f"{store.url} is a file: give a folder") from error
    except FileNotFoundError:
        pass
    return None


def write_info(store: Store, info: TableInfo, may_write: Callable[[], None] = lambda: None) -> None:
    """Make a table, or one that has no parts yet anew.

    Parameters
    ----------
    may_write : callable
        Called before the write; raises when this driver may not write any more.

    Raises
    ------
    TableBusyError
        If another driver has made it meanwhile: what a table is stays what it is.
    """
    [before] = store.stat([TABLE_JSON])
    overtaken = TableBusyError(f"{store.url} was just made by another run")
    if list_parts(store):
        raise overtaken
    may_write()
    try:
        store.replace(TABLE_JSON, info.to_json(), expected=before.version if before else None)
    except ConflictError as error:
        raise overtaken from error


def write_corpus(store: Store, info: TableInfo, corpus: str, may_write: Callable[[], None]) -> None:
    """Change the location that a table's paths are relative to, in one atomic write.

    Parameters
    ----------
    store : Store
        The table's place.
    info : TableInfo
        What the table was when the new location was found to fit.
    corpus : str
        The new location, canonical.
    may_write : callable
        Called before the write; raises when this driver may not write any more.

    Raises
    ------
    TableBusyError
        If the table is not what it was: another driver came between.
    """
    overtaken = TableBusyError(f"{store.url} was just changed by another run: try again")
    data, version = store.read(TABLE_JSON)
    if TableInfo.from_json(data, store.url) != info:
        raise overtaken
    may_write()
    try:
        store.replace(TABLE_JSON, replace(info, corpus=corpus).to_json(), expected=version)
    except ConflictError as error:
        raise overtaken from error


def is_same_place(one: str, other: str) -> bool:
    """Say whether two canonical locations are the same folder, by whatever links and mounts."""
    if one == other:
        return True
    if is_url(one) or is_url(other):
        return False
    try:
        return os.path.samefile(decode_path(one), decode_path(other))
    except OSError:  # one of them is not there
        return False


def check_same(info: TableInfo, wanted: TableInfo, where: str) -> None:
    """Refuse to write rows of one kind into a table of another.

    Raises
    ------
    UsageError
        Naming the fields that differ.
    """
    if not is_same_place(info.corpus, wanted.corpus):
        raise UsageError(
            f"{where} is the table of the corpus {info.corpus}, not of {wanted.corpus}: give"
            " another --output or, if that corpus has moved, use featurelib relocate first"
        )
    if info.fingerprint != wanted.fingerprint:
        differences = featurelib.spec_differences(info.spec, wanted.spec)
        if differences:
            named = "; ".join(differences[:_DIFFERENCES_NAMED])
            if len(differences) > _DIFFERENCES_NAMED:
                named += f"; and {len(differences) - _DIFFERENCES_NAMED} more"
            raise UsageError(
                f"{where} was made with another spec ({named}): another spec is"
                " another table, give another --output"
            )
        raise UsageError(
            f"{where} was made by featurelib {info.featurelib}, whose values for this spec differ"
            f" from those of {wanted.featurelib}: give another --output, or use the older version"
        )
    for name, mine, yours in (
        ("--labels", info.labels, wanted.labels),
        ("--partition-by", info.partition_by, wanted.partition_by),
        ("--buckets", info.n_buckets, wanted.n_buckets or info.n_buckets),
        ("carried columns", info.carried, wanted.carried),
    ):
        if mine != yours:
            raise UsageError(
                f"{where} was made with {name} {_say(mine)}, and now it is {_say(yours)}:"
                " give what it was made with, or another --output"
            )


def _say(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} ({kind})" for name, kind in value.items()) or "none"
    return str(value)

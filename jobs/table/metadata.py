"""What a table is (table.json), and whether a run fits it."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

import pyarrow as pa

import featurelib
from featurelib import arrow_type
from jobs.errors import ConflictError, TableBusyError, TableError, UsageError
from jobs.storage.base import Store
from jobs.storage.names import decode_path
from jobs.storage.urls import is_url
from jobs.table import schema
from jobs.table.layout import TABLE_JSON
from jobs.table.parts import list_parts

FORMAT = 3
"""Version of the layout; a table of another one is refused."""


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
class TableMetadata:
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
    def from_json(cls, data: bytes, where: str) -> TableMetadata:
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
                metadata = cls(**values)
                metadata._check()
                return metadata
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


def read_metadata(store: Store) -> TableMetadata | None:
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
        return TableMetadata.from_json(data, store.url)
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


def write_metadata(
    store: Store, metadata: TableMetadata, check_lock: Callable[[], None] = lambda: None
) -> None:
    """Make a table, or one that has no parts yet anew.

    Parameters
    ----------
    check_lock : callable
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
    check_lock()
    try:
        store.replace(TABLE_JSON, metadata.to_json(), expected=before.version if before else None)
    except ConflictError as error:
        raise overtaken from error


def write_corpus(
    store: Store, metadata: TableMetadata, corpus: str, check_lock: Callable[[], None]
) -> None:
    """Change the location that a table's paths are relative to, in one atomic write.

    Parameters
    ----------
    store : Store
        The table's place.
    metadata : TableMetadata
        What the table was when the new location was found to fit.
    corpus : str
        The new location, canonical.
    check_lock : callable
        Called before the write; raises when this driver may not write any more.

    Raises
    ------
    TableBusyError
        If the table is not what it was: another driver came between.
    """
    overtaken = TableBusyError(f"{store.url} was just changed by another run: try again")
    data, version = store.read(TABLE_JSON)
    if TableMetadata.from_json(data, store.url) != metadata:
        raise overtaken
    check_lock()
    try:
        store.replace(TABLE_JSON, replace(metadata, corpus=corpus).to_json(), expected=version)
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


def check_same(metadata: TableMetadata, wanted: TableMetadata, where: str) -> None:
    """Refuse to write rows of one kind into a table of another.

    Raises
    ------
    UsageError
        Naming the fields that differ.
    """
    if not is_same_place(metadata.corpus, wanted.corpus):
        raise UsageError(
            f"{where} is the table of the corpus {metadata.corpus}, not of {wanted.corpus}: give"
            " another --output or, if that corpus has moved, use featurelib relocate first"
        )
    if metadata.fingerprint != wanted.fingerprint:
        differences = featurelib.spec_differences(metadata.spec, wanted.spec)
        if differences:
            named = "; ".join(differences[:_DIFFERENCES_NAMED])
            if len(differences) > _DIFFERENCES_NAMED:
                named += f"; and {len(differences) - _DIFFERENCES_NAMED} more"
            raise UsageError(
                f"{where} was made with another spec ({named}): another spec is"
                " another table, give another --output"
            )
        raise UsageError(
            f"{where} was made by featurelib {metadata.featurelib}, whose values for this spec"
            f" differ from those of {wanted.featurelib}: give another --output, or use the older"
            " version"
        )
    for name, mine, yours in (
        ("--labels", metadata.labels, wanted.labels),
        ("--partition-by", metadata.partition_by, wanted.partition_by),
        ("--buckets", metadata.n_buckets, wanted.n_buckets or metadata.n_buckets),
        ("carried columns", metadata.carried, wanted.carried),
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

"""The metadata of a table (table.json), and the check that a run matches it."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import pyarrow as pa

import featurelib
from featurelib import arrow_type
from jobs.errors import ConflictError, TableBusyError, TableError, UsageError
from jobs.storage.base import Store
from jobs.storage.names import decode_path
from jobs.storage.urls import is_url
from jobs.table import schema
from jobs.table.layout import REPARTITION_JSON, TABLE_JSON
from jobs.table.parts import list_parts

#: Version of the table format; tables of other versions are refused.
FORMAT = 3

#: Kinds of tables: what is made of each file.
FEATURES, IMAGES = "features", "images"

#: Begins the source of labels that are tags.
TAG_PREFIX = "tag:"

#: Maximum number of differences between two specs in an error message.
_DIFFERENCES_NAMED = 5


@dataclass(frozen=True)
class RecordedSpec:
    """A spec as recorded in a table, for planning and reading without the code of its features.

    Attributes
    ----------
    values : dict
        The spec as a dictionary.
    fingerprint : str
        Fingerprint of the spec, which covers everything that defines its values.
    columns : list of dict
        Name, type, unit, definition and librosa counterpart of each column of its rows.
    """

    values: dict[str, Any]
    fingerprint: str
    columns: list[dict[str, str]]

    @classmethod
    def of(cls, spec: featurelib.FeatureSpec) -> RecordedSpec:
        """Return the record of a spec.

        Raises
        ------
        featurelib.SpecError
            If a column name of its features clashes with a column of the table.
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
        """Arrow schema of extracted rows."""
        return schema.row_schema(self.columns)

    @property
    def feature_names(self) -> list[str]:
        """Names of the feature columns with one number a row, in table order."""
        return [
            field.name
            for field in self.schema
            if field.name not in featurelib.SIGNAL_COLUMNS and field.type == pa.float32()
        ]

    @property
    def kind(self) -> str:
        """What is made of each file: ``features`` or ``images``."""
        return str(self.values.get("kind", FEATURES))


@dataclass(frozen=True)
class TableMetadata:
    """Metadata of a table, fixed when it is made; only `corpus` may change.

    Attributes
    ----------
    corpus : str
        Canonical location to which paths are relative.
    n_buckets : int
        Number of hash buckets.
    partition_by : str
        ``label`` or ``none``.
    labels : str
        Source of the labels: ``none``, ``parent``, ``name``, ``file``, or a tag such as
        ``tag:genre``.
    spec : dict
        The spec as a dictionary.
    fingerprint : str
        Fingerprint of the spec, which covers everything that defines its values.
    columns : list of dict
        Columns of the spec's rows, as in `RecordedSpec`.
    carried : dict
        Arrow types of the carried columns, by name.
    tags : list of str
        Names of the columns of tags.
    featurelib : str
        Version of featurelib that made the table.
    format : int
        Version of the table format.
    """

    corpus: str
    n_buckets: int
    partition_by: str
    labels: str
    spec: dict[str, Any]
    fingerprint: str
    columns: list[dict[str, str]]
    carried: dict[str, str]
    featurelib: str
    tags: list[str] = field(default_factory=list)
    format: int = FORMAT

    @classmethod
    def from_json(cls, data: bytes, where: str) -> TableMetadata:
        """Return the metadata in a table.json, as written by `to_json`.

        Raises
        ------
        TableError
            If the file is damaged, or of another table format.
        """
        try:
            values = json.loads(data)
            stored = values["format"]
            if stored == FORMAT:
                metadata = cls(**values)
                metadata._check()
                return metadata
        except (
            *(ValueError, KeyError, TypeError, AttributeError, OverflowError),
            RecursionError,  # nested too deeply
        ) as error:
            raise TableError(
                f"{where}/{TABLE_JSON} cannot be read ({type(error).__name__}: {error}):"
                " restore it from a copy, or make a new table with another --output"
            ) from error
        raise TableError(
            f"{where} has the table format {stored}, and this version of featurelib reads {FORMAT}:"
            " make a new table of the corpus with another --output, or use the version that made it"
        )

    def _check(self) -> None:
        """Use every value, so that a damaged one raises its error now."""
        if not isinstance(self.n_buckets, int) or not isinstance(self.spec, dict):
            raise TypeError("n_buckets or spec is of another type")
        rows = self.recorded_spec.schema
        schema.feature_schema(rows, self.carried_schema, self.tags)

    def to_json(self) -> bytes:
        """Return the contents of table.json."""
        return json.dumps(asdict(self), indent=1, ensure_ascii=True).encode()

    @property
    def recorded_spec(self) -> RecordedSpec:
        """The spec as recorded in the table."""
        return RecordedSpec(self.spec, self.fingerprint, self.columns)

    @property
    def has_own_labels(self) -> bool:
        """Whether the label of a file is one of its tags, known only when the file is read."""
        return self.labels.startswith(TAG_PREFIX)

    @property
    def kind(self) -> str:
        """What is made of each file: ``features`` or ``images``."""
        return self.recorded_spec.kind

    @property
    def stages_labels(self) -> bool:
        """Whether staged rows have the label: a label that is a tag, or in an image's name."""
        return self.has_own_labels or self.kind == IMAGES

    @property
    def carried_schema(self) -> pa.Schema:
        """Arrow schema of the carried columns."""
        return pa.schema([(name, arrow_type(text)) for name, text in self.carried.items()])


def absent_columns(metadata: TableMetadata) -> tuple[str, ...]:
    """Return the columns about signals that a table lacks, since an earlier version made it."""
    recorded = {column["name"] for column in metadata.columns}
    return tuple(name for name in featurelib.SIGNAL_COLUMNS if name not in recorded)


def carried_types(carried: pa.Schema) -> dict[str, str]:
    """Return the carried columns in the form of table.json: types by name.

    Raises
    ------
    UsageError
        If the type of a column is not supported.
    """
    types = {}
    for column in carried:
        try:
            arrow_type(str(column.type))
        except ValueError as error:
            raise UsageError(
                f"column {column.name!r} has the type {column.type}, which cannot be carried:"
                " make it a string, number, boolean, date or timestamp without a time zone"
            ) from error
        types[column.name] = str(column.type)
    return types


def read_metadata(store: Store) -> TableMetadata | None:
    """Return the metadata of a table; None if there is no table yet.

    Raises
    ------
    TableError
        If the location is a file or a folder with other files, or table.json is damaged.
    """
    try:
        data, _ = store.read(TABLE_JSON)
    except (FileNotFoundError, NotADirectoryError):
        data = None
    if data is not None:
        return TableMetadata.from_json(data, store.url)
    try:
        if store.stat([REPARTITION_JSON]) != [None]:
            raise TableError(
                f"{store.url} is an unfinished copy of a table: run featurelib repartition again,"
                " or delete it"
            )
        for page in store.scan():
            other_files = [e.name for e in page if not e.name.startswith("_job/")]
            if other_files:
                raise TableError(
                    f"{store.url} holds other files ({other_files[0]}) and is no table of"
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
    """Write the metadata of a new table, or of one that has no parts yet.

    Parameters
    ----------
    store : Store
        Store of the table.
    metadata : TableMetadata
        The metadata.
    check_lock : callable
        Called before the write; raises if this driver has lost the write lock.

    Raises
    ------
    TableBusyError
        If another driver has made the table meanwhile.
    """
    [before] = store.stat([TABLE_JSON])
    conflict = TableBusyError(f"{store.url} was just made by another run")
    if list_parts(store):
        raise conflict
    check_lock()
    try:
        store.replace(TABLE_JSON, metadata.to_json(), expected=before.version if before else None)
    except ConflictError as error:
        raise conflict from error


def write_corpus(
    store: Store, metadata: TableMetadata, corpus: str, check_lock: Callable[[], None]
) -> None:
    """Change the corpus root of a table in one atomic write.

    Parameters
    ----------
    store : Store
        Store of the table.
    metadata : TableMetadata
        The metadata against which the new root was checked.
    corpus : str
        The new corpus root, canonical.
    check_lock : callable
        Called before the write; raises if this driver has lost the write lock.

    Raises
    ------
    TableBusyError
        If another driver changed the metadata meanwhile.
    """
    conflict = TableBusyError(f"{store.url} was just changed by another run: try again")
    data, version = store.read(TABLE_JSON)
    if TableMetadata.from_json(data, store.url) != metadata:
        raise conflict
    check_lock()
    try:
        store.replace(TABLE_JSON, replace(metadata, corpus=corpus).to_json(), expected=version)
    except ConflictError as error:
        raise conflict from error


def is_same_place(one: str, other: str) -> bool:
    """Return whether two canonical locations are the same folder, also through links."""
    if one == other:
        return True
    if is_url(one) or is_url(other):
        return False
    try:
        return os.path.samefile(decode_path(one), decode_path(other))
    except OSError:  # one of them is not there
        return False


def named_differences(a: Mapping[str, Any], b: Mapping[str, Any]) -> str:
    """Return the first differences between two specs for a message; empty if there is none."""
    differences = featurelib.spec_differences(a, b)
    named = "; ".join(differences[:_DIFFERENCES_NAMED])
    if len(differences) > _DIFFERENCES_NAMED:
        named += f"; and {len(differences) - _DIFFERENCES_NAMED} more"
    return named


def check_features(metadata: TableMetadata, where: str) -> None:
    """Refuse a table that is not of features.

    Parameters
    ----------
    metadata : TableMetadata
        Metadata of the table.
    where : str
        The table's location, for errors.

    Raises
    ------
    UsageError
        If the table is of something else.
    """
    if metadata.kind != FEATURES:
        raise UsageError(
            f"{where} is a table of {metadata.kind}, not of features: give one that featurelib"
            " extract has made"
        )


def check_same(metadata: TableMetadata, wanted: TableMetadata, where: str) -> None:
    """Refuse a run whose corpus, spec or options differ from the table's.

    Parameters
    ----------
    metadata : TableMetadata
        Metadata of the table.
    wanted : TableMetadata
        Metadata that the run would write.
    where : str
        The table's location, for errors.

    Raises
    ------
    UsageError
        If they differ; the message names the differences.
    """
    if not is_same_place(metadata.corpus, wanted.corpus):
        raise UsageError(
            f"{where} is the table of the corpus {metadata.corpus}, not of {wanted.corpus}: give"
            " another --output or, if that corpus has moved, use featurelib relocate first"
        )
    if metadata.kind != wanted.kind:
        raise UsageError(
            f"{where} is a table of {metadata.kind}, not of {wanted.kind}: give another --output"
        )
    if metadata.fingerprint != wanted.fingerprint:
        if named := named_differences(metadata.spec, wanted.spec):
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
        ("--tags", metadata.tags, wanted.tags),
        ("--partition-by", metadata.partition_by, wanted.partition_by),
        ("--buckets", metadata.n_buckets, wanted.n_buckets or metadata.n_buckets),
        ("carried columns", metadata.carried, wanted.carried),
    ):
        if mine != yours:
            raise UsageError(
                f"{where} was made with {name} {_as_text(mine)}, and now it is {_as_text(yours)}:"
                " give what it was made with, or another --output"
            )


def _as_text(value: object) -> str:
    if isinstance(value, list):
        return ",".join(value) or "none"
    if isinstance(value, dict):
        return ", ".join(f"{name} ({kind})" for name, kind in value.items()) or "none"
    return str(value)

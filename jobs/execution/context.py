"""`TaskContext`: the parameters that all tasks of a run share, and what a process makes of them."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol

import pyarrow as pa

import featurelib
from jobs.storage.base import Store
from jobs.storage.listed import ListedStore
from jobs.storage.opening import open_store
from jobs.table.reused import ReusedTable
from jobs.table.schema import row_schema, staged_schema
from jobs.table.staging import Origin, RowForm

#: Yields the rows of a file, at least one, by channel and segment. It raises before the first.
#: Gets a source and a spec, and the keyword ``tags`` if tags are read.
Extractor = Callable[..., Iterable[featurelib.Rows]]


class Product(Protocol):
    """What a run makes of each file in place of features: files in the table, with a row each."""

    @property
    def fingerprint(self) -> str:
        """Hash of everything that can change what is made."""

    @property
    def columns(self) -> list[dict[str, str]]:
        """Descriptions of the rows' columns, as in `jobs.table.metadata.RecordedSpec`."""

    def prepare(self, on_compile: Callable[[int, int], None] | None) -> None:
        """Prepare this process; see `featurelib.warm_up`."""

    def rows(self, source: Any, tags: tuple[str, ...]) -> Iterable[featurelib.Rows]:
        """Yield what a source gives, in rows of any columns; as an `Extractor`."""

    def put(
        self, rows: featurelib.Rows, path: str, label: str | None, table: Store
    ) -> featurelib.Rows:
        """Write the files of rows to the table, and return the rows as they are staged."""


@dataclass(frozen=True)
class TaskContext:
    """Parameters that all tasks of a run share.

    Locations and storage options may hold secrets.

    Attributes
    ----------
    run_id : str
        Name of the run.
    corpus, table : str
        Locations by which a worker opens the corpus and the table.
    spec : dict
        The spec as a dictionary.
    code_version : str
        Version of the driver's code, which the worker must have too.
    origin : Origin
        Origin in the metadata of staged files.
    corpus_options, table_options : dict
        Storage options for fsspec.
    is_list : bool
        Whether the corpus is a list, whose names may be URLs.
    file_timeout_s : float
        A file that takes longer fails as ``timed_out`` [s].
    prefetch_bytes : int
        Maximum size of the files read ahead.
    extractor : callable
        Extracts a file.
    sources : dict
        Source code of the user's own features, by the digests in the spec.
    tags : tuple of str
        Names of the columns of tags.
    label_tag : str, optional
        Name of the tag that is the label of a file.
    reuse : ReusedTable, optional
        Another table, whose columns are copied.
    absent : tuple of str
        Columns of rows that the table does not have, since an earlier version made it.
    product : Product, optional
        What is made of each file; features if None.
    """

    run_id: str
    corpus: str = field(repr=False)
    table: str = field(repr=False)
    spec: dict[str, Any]
    code_version: str
    origin: Origin
    corpus_options: dict[str, Any] = field(default_factory=dict, repr=False)
    table_options: dict[str, Any] = field(default_factory=dict, repr=False)
    is_list: bool = False
    file_timeout_s: float = 600.0
    prefetch_bytes: int = 64 * 2**20
    extractor: Extractor = featurelib.extract_rows
    sources: dict[str, str] = field(default_factory=dict, repr=False)
    tags: tuple[str, ...] = ()
    label_tag: str | None = None
    reuse: ReusedTable | None = None
    absent: tuple[str, ...] = ()
    product: Product | None = None

    @property
    def tags_read(self) -> tuple[str, ...]:
        """Names of the tags that are read."""
        own = self.label_tag
        return self.tags if own is None or own in self.tags else (*self.tags, own)


def spec_of(context: TaskContext) -> featurelib.FeatureSpec:
    """Return the spec of a run; each process makes it once."""
    if context.run_id not in _specs:
        _specs.clear()
        _specs[context.run_id] = featurelib.FeatureSpec.from_dict(
            context.spec, sources=context.sources
        )
    return _specs[context.run_id]


def form_of(context: TaskContext) -> RowForm:
    """Return the form of the rows of a run."""
    if context.product is not None:
        made = context.product
        rows = _without(row_schema(made.columns), context.absent)
        schema = staged_schema(rows, context.tags, has_label=True)
        return RowForm(schema, [], made.fingerprint)
    spec = spec_of(context)
    has_label = context.label_tag is not None
    rows = _without(featurelib.schema(spec), context.absent)
    schema = staged_schema(rows, context.tags, has_label=has_label)
    return RowForm(schema, featurelib.feature_names(spec), spec.fingerprint)


def _without(rows: pa.Schema, absent: tuple[str, ...]) -> pa.Schema:
    return pa.schema([field for field in rows if field.name not in absent])


_specs: dict[str, featurelib.FeatureSpec] = {}


def _key(options: dict[str, Any]) -> str:
    return json.dumps(options, sort_keys=True)


def stores_of(context: TaskContext) -> tuple[Store, Store]:
    """Return the stores of the corpus and the table; each process opens them once."""
    return (
        _corpus_store(context.corpus, _key(context.corpus_options), context.is_list),
        _store(context.table, _key(context.table_options)),
    )


@functools.lru_cache(maxsize=4)
def _store(location: str, options: str) -> Store:
    return open_store(location, json.loads(options), retry_connect=True)


@functools.lru_cache(maxsize=4)
def _corpus_store(location: str, options: str, is_list: bool) -> Store:
    store = _store(location, options)
    return ListedStore(store, json.loads(options)) if is_list else store


def forget_stores() -> None:
    """Close nothing, but open stores again for the next file: a hung thread keeps the old ones."""
    _corpus_store.cache_clear()
    _store.cache_clear()

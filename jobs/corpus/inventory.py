"""Read a report of S3 Inventory: the objects of a bucket, listed by S3 itself."""

from __future__ import annotations

import functools
import hashlib
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import unquote_plus

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from jobs.corpus.corpus import explain
from jobs.errors import CorpusError, UsageError
from jobs.storage.base import Fetched, Page, Store, contents_of
from jobs.storage.names import encode_path
from jobs.storage.opening import open_store
from jobs.storage.parallel import in_threads
from jobs.storage.parquet import is_storage_error, open_parquet
from jobs.storage.urls import redacted, split_name, stored_name

#: Name of the file that names the data files of a report.
MANIFEST = "manifest.json"

_KEY, _SIZE, _TAG, _IS_LATEST, _IS_DELETED = "key", "size", "etag", "islatest", "isdeletemarker"
_ROWS_AT_ONCE = 8000
_BLOCK_BYTES = 4 * 2**20
_FETCHED_AHEAD = 2

_md5 = functools.partial(hashlib.md5, usedforsecurity=False)


@dataclass(frozen=True)
class Inventory:
    """A report of S3 Inventory.

    Attributes
    ----------
    name : str
        Location of its manifest, for errors.
    bucket : str
        Name of the bucket that it lists.
    store : Store
        Bucket of its data files.
    files : dict
        MD5 of each data file by its name; empty if the manifest does not state it.
    columns : tuple of str
        Names of the columns, if the data files are CSV; empty if they are Parquet.
    """

    name: str
    bucket: str
    store: Store
    files: dict[str, str]
    columns: tuple[str, ...]

    @property
    def root(self) -> str:
        """Location of the bucket that is listed."""
        return f"s3://{self.bucket}"

    def pages(self) -> Iterator[Page]:
        """Yield the current version of every object, page by page.

        Raises
        ------
        CorpusError
            If a data file cannot be read: a report is never silently incomplete.
        UsageError
            If a data file is damaged or another one, or has no sizes or ETags.
        """
        fetched_files = in_threads(self._fetch, self.files, _FETCHED_AHEAD)
        for name, fetched in zip(self.files, fetched_files, strict=True):
            try:
                for rows in self._batches(name, fetched.source):
                    page = self._page(rows, name)
                    if len(page):
                        yield page
            except (pa.ArrowException, OSError) as error:
                if is_storage_error(error):
                    raise
                raise UsageError(
                    f"{self.store.url}/{name} cannot be read: {str(error).splitlines()[0]}"
                ) from error
            finally:
                fetched.close()

    def _fetch(self, name: str) -> Fetched:
        try:
            fetched = self.store.fetch(name)
        except OSError as error:
            where = f"{self.store.url}/{name}, which {self.name} names"
            raise CorpusError(f"cannot read {where}: {error}") from error
        with contents_of(fetched) as contents:
            digest = hashlib.file_digest(cast(io.BufferedReader, contents), _md5).hexdigest()
        if self.files[name] not in ("", digest):
            fetched.close()
            raise UsageError(
                f"{self.store.url}/{name} is not the file that {self.name} names (its MD5 is"
                f" {digest}): give the manifest of a later report, or the bucket itself"
            )
        return fetched

    def _batches(self, name: str, source: str | bytes) -> Iterator[pa.Table]:
        """Yield the rows of a data file; Arrow reads it, so that all of it is never in memory."""
        raw = pa.OSFile(source) if isinstance(source, str) else pa.BufferReader(source)
        with raw:
            if not self.columns:
                with open_parquet(raw) as file:
                    names = {_plain(column): column for column in file.schema_arrow.names}
                    wanted = [names[column] for column in self._wanted([*names], name)]
                    for batch in file.iter_batches(_ROWS_AT_ONCE, columns=wanted):
                        yield _renamed(pa.table(batch))
                return
            packed = pa.CompressedInputStream(raw, "gzip") if name.endswith(".gz") else raw
            wanted = self._wanted(self.columns, name)
            reader = pyarrow.csv.open_csv(
                packed,
                pyarrow.csv.ReadOptions(
                    use_threads=False, block_size=_BLOCK_BYTES, column_names=self.columns
                ),
                convert_options=pyarrow.csv.ConvertOptions(
                    include_columns=wanted,
                    column_types=dict.fromkeys(wanted, pa.string()) | {_SIZE: pa.int64()},
                    strings_can_be_null=True,
                    null_values=[""],
                ),
            )
            for batch in reader:
                for start in range(0, len(batch), _ROWS_AT_ONCE):
                    yield pa.table(batch.slice(start, _ROWS_AT_ONCE))

    def _wanted(self, names: tuple[str, ...] | list[str], file: str) -> list[str]:
        missing = [name for name in (_KEY, _SIZE, _TAG) if name not in names]
        if missing:
            raise UsageError(
                f"{self.store.url}/{file} has no column {' and no column '.join(missing)}: add Size"
                " and ETag to the fields of the inventory, or give the bucket itself"
            )
        return [n for n in (_KEY, _SIZE, _TAG, _IS_LATEST, _IS_DELETED) if n in names]

    def _page(self, rows: pa.Table, name: str) -> Page:
        is_there = pc.is_valid(rows[_SIZE])  # a delete marker has no size
        for column, text in ((_IS_LATEST, "true"), (_IS_DELETED, "false")):
            if column in rows.column_names:
                values = pc.utf8_lower(rows[column].cast(pa.string()))
                is_there = pc.and_(is_there, pc.fill_null(pc.equal(values, text), True))
        rows = rows.filter(is_there)
        keys = rows[_KEY].to_pylist()
        if self.columns:  # only in CSV are names encoded
            keys = [unquote_plus(key) if "%" in key or "+" in key else key for key in keys]
        tags = pc.utf8_trim(rows[_TAG].cast(pa.string()), '"')
        if tags.null_count:
            raise UsageError(f"{self.store.url}/{name} has rows without an ETag: give the bucket")
        files = [i for i, key in enumerate(keys) if not key.endswith("/")]
        sizes, versions = rows[_SIZE].to_pylist(), tags.to_pylist()
        return Page(
            [encode_path(keys[i]) for i in files],
            [sizes[i] for i in files],
            [versions[i] for i in files],
        )


def _plain(column: str) -> str:
    """Return the name of a column without what differs between CSV and Parquet."""
    return column.strip().lower().replace("_", "")


def _renamed(rows: pa.Table) -> pa.Table:
    return rows.rename_columns([_plain(name) for name in rows.column_names])


def open_inventory(location: str, options: dict[str, Any] | None) -> Inventory:
    """Read the manifest of a report of S3 Inventory.

    Parameters
    ----------
    location : str
        The manifest: a local copy, or in S3.
    options : dict, optional
        Storage options for fsspec.

    Raises
    ------
    CorpusError
        If the manifest cannot be read.
    UsageError
        If it is no manifest, or its data files are in a format that is not read.
    """
    folder, name = split_name(location)
    location = redacted(location)
    try:
        data, _ = open_store(folder, options).read(stored_name(folder, name))
    except OSError as error:
        raise CorpusError(explain(error, location)) from error
    try:
        manifest = json.loads(data)
        bucket = str(manifest["sourceBucket"])
        destination = str(manifest["destinationBucket"]).rpartition(":")[2]  # of its ARN
        form, columns = str(manifest["fileFormat"]).upper(), str(manifest["fileSchema"])
        files = {
            encode_path(file["key"]): str(file.get("MD5checksum", "")).lower()
            for file in manifest["files"]
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(
            f"{location} is no manifest of S3 Inventory ({type(error).__name__}: {error}): give a"
            " folder, a list of files, or a manifest.json as S3 writes it"
        ) from error
    if form not in ("CSV", "PARQUET"):
        raise UsageError(
            f"{location} is an inventory in {form}, which is not read: choose Parquet or CSV as the"
            " format of the inventory, or give the bucket itself"
        )
    names = tuple(map(_plain, columns.split(","))) if form == "CSV" else ()
    return Inventory(location, bucket, open_store(f"s3://{destination}", options), files, names)

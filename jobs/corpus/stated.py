"""Sizes and versions that a list states for its files: ETag, version or modification time."""

from __future__ import annotations

import datetime
import re

import pyarrow as pa
import pyarrow.compute as pc

from jobs.errors import UsageError
from jobs.storage.base import Stated

#: Column names, in any case. Names with an underscore are from S3 Inventory.
_NAMES = {
    "size": ("size",),
    "tag": ("etag", "e_tag"),
    "version": ("version",),
    "modified": ("last_modified", "last_modified_date"),
}

_ISO_TIME = re.compile(
    r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:\.(\d+))? ?(Z|UTC|[+-]\d\d(?::?\d\d)?)?"
)
_SECONDS = re.compile(r"(\d{1,11})(?:\.(\d+))?")
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


def add_urls(rows: pa.Table) -> pa.Table:
    """Replace the columns ``bucket`` and ``key`` of S3 Inventory with a column of URLs."""
    names = {name.lower(): name for name in rows.column_names}
    if not {"bucket", "key"} <= names.keys():
        return rows
    parts = (rows[names[name]].cast(pa.string()) for name in ("bucket", "key"))
    urls = pc.binary_join_element_wise("s3:/", *parts, "/")
    return rows.drop_columns([names["bucket"], names["key"]]).append_column("path", urls)


def take_stated(rows: pa.Table, name: str) -> tuple[pa.Table, pa.Table | None]:
    """Separate the stated sizes and versions from the other columns of a list.

    Parameters
    ----------
    rows : pyarrow.Table
        The list.
    name : str
        The list's name, for errors.

    Returns
    -------
    rest : pyarrow.Table
        The other columns.
    stated : pyarrow.Table or None
        ``size`` (int64), ``tag``, ``version`` and ``modified`` (strings); null if not stated.
        None if the list has no column of sizes, or no column of versions.

    Raises
    ------
    UsageError
        If the sizes are not numbers of bytes.
    """
    lower = {column.lower(): column for column in reversed(rows.column_names)}
    sources = {
        key: next((lower[n] for n in names if n in lower), None) for key, names in _NAMES.items()
    }
    if sources["size"] is None or not any(sources[key] for key in ("tag", "version", "modified")):
        return rows, None
    columns = {
        key: pa.nulls(len(rows), pa.string())
        if column is None
        else _texts(rows[column], f"{name}: the column {column!r}")
        for key, column in sources.items()
        if key != "size"
    }
    columns["size"] = _sizes(rows[sources["size"]], f"{name}: the column {sources['size']!r}")
    rest = rows.drop_columns([column for column in sources.values() if column is not None])
    return rest, pa.table(columns)


def _sizes(column: pa.ChunkedArray, where: str) -> pa.ChunkedArray:
    if pa.types.is_floating(column.type):
        column = pc.if_else(pc.is_nan(column), None, column)
    elif pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        column = pc.if_else(pc.equal(column, ""), None, column)
    try:
        sizes = column.cast(pa.int64())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise UsageError(
            f"{where} is no number of bytes ({str(error).splitlines()[0]}): give bytes, or rename"
            " the column"
        ) from error
    least = pc.min(sizes).as_py()
    if least is not None and least < 0:
        raise UsageError(f"{where} has the size {least}: leave it empty where it is unknown")
    return sizes


def _texts(column: pa.ChunkedArray, where: str) -> pa.ChunkedArray:
    try:
        if pa.types.is_timestamp(column.type):
            column = column.cast(pa.timestamp("ns", "UTC"))  # without a zone it is UTC
        return column.cast(pa.string())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise UsageError(f"{where} cannot be read: {str(error).splitlines()[0]}") from error


def stated_of(
    size: int | None, tag: str | None, version: str | None, modified: str | None
) -> Stated | None:
    """Return the statements in a row of `take_stated`; None if size or version is missing."""
    if size is None or not (tag or version or modified):
        return None
    time = nanoseconds(modified) if modified else None
    return Stated(size, tag or None, version or None, (modified or None) if time is None else time)


def nanoseconds(text: str) -> int | None:
    """Return a time in nanoseconds since 1970; None if the text is not a known time format.

    Known formats are ISO 8601 dates with time (UTC unless there is a zone), and seconds since
    1970, as printed by ``find -printf %T@`` and ``stat -c %Y``.
    """
    if match := _SECONDS.fullmatch(text):
        seconds, fraction = int(match[1]), match[2]
    elif match := _ISO_TIME.fullmatch(text):
        date, time, fraction, zone = match.groups()
        zone = "+00:00" if zone in (None, "Z", "UTC") else zone
        try:
            moment = datetime.datetime.fromisoformat(f"{date}T{time}{zone}")
        except ValueError:
            return None
        seconds = (moment - _EPOCH) // datetime.timedelta(seconds=1)
    else:
        return None
    return seconds * 10**9 + int(f"{fraction or ''}000000000"[:9])

"""Label files whose paths are written in another form than on the disk."""

from __future__ import annotations

from collections import defaultdict
from unicodedata import normalize

import pyarrow as pa

from jobs.corpus.corpus import relative_path
from jobs.corpus.labels import LabelFile
from jobs.corpus.partitioned_rows import PartitionedRows
from jobs.errors import UsageError
from jobs.storage.names import slashed

_OWN = "by_own"  # a name that no column of a label file may have
_KEYED = pa.schema([("path", pa.string()), (_OWN, pa.string())])
"""A key that all forms of a path have in common, and the path itself."""


def match_forms(labels: LabelFile, listed: PartitionedRows, root: str, n_buckets: int) -> int:
    r"""Give files without a label one whose path is another form of theirs.

    A form is another of Unicode's (macOS stores names decomposed, others composed), or has
    ``\`` for ``/``. What two files or two labels could be meant by is left alone.

    Parameters
    ----------
    labels : LabelFile
        The labels; they get the rows that are found.
    listed : PartitionedRows
        The corpus's files.
    root : str
        The corpus's root.
    n_buckets : int
        Number of buckets, which are set for both.

    Returns
    -------
    int
        Number of files that got a label so.

    Raises
    ------
    UsageError
        If two paths in the file are forms of the path of one file.
    """
    unused = _unused(labels, listed, root, n_buckets)
    if not unused.n_rows:
        return 0
    unlabelled = _unlabelled(labels, listed, n_buckets)
    n_found = 0
    for bucket in range(n_buckets):
        files = _by_key(unlabelled.bucket(bucket))
        rows = unused.bucket(bucket)
        keys = rows["path"].to_pylist()
        names = _by_key(rows)
        taken: dict[str, int] = {}
        for index, key in enumerate(keys):
            if len(files.get(key, ())) == 1:
                [file] = files[key]
                _check_one(names[key], file, labels.name)
                taken[file] = index
        found = rows.take(pa.array(taken.values(), pa.int64()))
        found = found.set_column(0, "path", pa.array(taken, pa.string()))
        labels.add_matched(found.select(labels.schema.names))
        n_found += len(found)
    labels.set_buckets(n_buckets)
    return n_found


def _unused(
    labels: LabelFile, listed: PartitionedRows, root: str, n_buckets: int
) -> PartitionedRows:
    """Return the labels without a file whose path has other forms, by key."""
    unused = PartitionedRows(pa.schema([*_KEYED, *list(labels.schema)[1:]]))
    for bucket in range(n_buckets):
        used = set(listed.bucket(bucket)["path"].to_pylist())
        rows = labels.rows(bucket)
        keys: list[str] = []
        indices: list[int] = []
        for index, path in enumerate(rows["path"].to_pylist()):
            if path not in used:
                found = _keys(path, root)
                keys += found
                indices += [index] * len(found)
        rows = rows.take(pa.array(indices, pa.int64()))
        rows = rows.rename_columns([_OWN, *rows.column_names[1:]])
        unused.add(rows.add_column(0, "path", pa.array(keys, pa.string())))
    unused.set_buckets(n_buckets)
    return unused


def _unlabelled(labels: LabelFile, listed: PartitionedRows, n_buckets: int) -> PartitionedRows:
    """Return the files without a label, by key."""
    unlabelled = PartitionedRows(_KEYED)
    for bucket in range(n_buckets):
        labelled = labels.bucket(bucket)
        paths = listed.bucket(bucket)["path"].to_pylist()
        paths = [path for path in paths if path not in labelled]
        keys = [normalize("NFC", path) for path in paths]
        unlabelled.add(pa.table({"path": keys, _OWN: paths}, _KEYED))
    unlabelled.set_buckets(n_buckets)
    return unlabelled


def _keys(path: str, root: str) -> set[str]:
    """Return what a path's other forms have in common; nothing where it has none."""
    if path.isascii() and "\\" not in path:
        return set()
    root = normalize("NFC", root)
    return {relative_path(normalize("NFC", form), root) for form in (path, slashed(path))}


def _by_key(rows: pa.Table) -> dict[str, set[str]]:
    paths = defaultdict(set)
    for key, path in zip(rows["path"].to_pylist(), rows[_OWN].to_pylist(), strict=True):
        paths[key].add(path)
    return paths


def _check_one(names: set[str], file: str, name: str) -> None:
    if len(names) > 1:
        first, second, *_ = sorted(names)
        raise UsageError(
            f"{name} has the path {file!r} twice, as {first!r} and as {second!r}: keep one of them"
        )

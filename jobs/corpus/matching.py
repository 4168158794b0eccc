"""Match a label file whose paths are written in another form than those of the files."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from unicodedata import normalize

import pyarrow as pa
import pyarrow.compute as pc

from jobs.corpus.corpus import relative_path
from jobs.corpus.labels import LabelFile
from jobs.corpus.partitioned_rows import PartitionedRows, repeated
from jobs.errors import UsageError
from jobs.storage.names import slashed

_OWN = "by_own"  # a name that no column of a label file may have

#: A key that all forms of a path share, and the path itself.
_KEYED = pa.schema([("path", pa.string()), (_OWN, pa.string())])


def match_forms(labels: LabelFile, listed: PartitionedRows, root: str, n_buckets: int) -> int:
    r"""Label files whose path is in the label file in another form.

    Another form has other Unicode composition (macOS stores names decomposed, other systems
    composed) or ``\`` for ``/``. Ambiguous paths, which match several files, get no label.

    Parameters
    ----------
    labels : LabelFile
        The labels; the matched rows are added to it.
    listed : PartitionedRows
        The files of the corpus.
    root : str
        The corpus root.
    n_buckets : int
        Number of hash buckets, already set for both.

    Returns
    -------
    int
        Number of files that got a label.

    Raises
    ------
    UsageError
        If two paths in the label file are forms of the same file's path.
    """
    unused = _unused(labels, listed, root, n_buckets)
    if not unused.n_rows:
        return 0
    unlabelled = _unlabelled(labels, listed, n_buckets)
    n_matched = 0
    for bucket in range(n_buckets):
        files = _by_key(unlabelled.bucket(bucket))
        rows = unused.bucket(bucket)
        keys = rows["path"].to_pylist()
        names = _by_key(rows)
        matched: dict[str, int] = {}
        for index, key in enumerate(keys):
            if len(files.get(key, ())) == 1:
                [file] = files[key]
                _check_one(names[key], file, labels.name)
                matched[file] = index
        labelled = rows.take(pa.array(matched.values(), pa.int64()))
        labelled = labelled.set_column(0, "path", pa.array(matched, pa.string()))
        labels.add_matched(labelled.select(labels.schema.names))
        n_matched += len(labelled)
    labels.set_buckets(n_buckets)
    return n_matched


def match_names(
    labels: LabelFile,
    listed: PartitionedRows,
    n_buckets: int,
    others_of: Callable[[list[str]], set[str]] = lambda paths: set(),
) -> int:
    """Label files by their name, or by their name without extension (stem).

    This is for label files whose paths have no folders. A path that is the whole path of a
    file is not matched again. A name is preferred to a stem.

    Parameters
    ----------
    labels : LabelFile
        The labels; the matched rows are added to it.
    listed : PartitionedRows
        The files of the corpus.
    n_buckets : int
        Number of hash buckets, already set for both.
    others_of : callable
        Returns which of some paths are files that are not listed.

    Returns
    -------
    int
        Number of files that got a label.

    Raises
    ------
    UsageError
        If a name or stem is that of several files.
    """
    if labels.has_folders:
        return 0
    names, stems = PartitionedRows(_KEYED), PartitionedRows(_KEYED)
    keys = PartitionedRows(pa.schema([*_KEYED, *list(labels.schema)[1:]]))
    for bucket in range(n_buckets):
        paths = listed.bucket(bucket)["path"]
        name = pc.replace_substring_regex(paths, "(?s)^.*/", "")
        stem = pc.replace_substring_regex(name, r"(?s)([^.].*)\.[^.]*$", r"\1")
        for files, key in ((names, name), (stems, stem)):
            files.add(pa.table([pc.utf8_normalize(key, "NFC"), paths], _KEYED))
        rows = labels.rows(bucket)
        key = pc.utf8_normalize(rows["path"], "NFC")
        keys.add(rows.rename_columns([_OWN, *rows.column_names[1:]]).add_column(0, "path", key))
    for rows in (names, stems, keys):
        rows.set_buckets(n_buckets)
    n_matched = 0
    for bucket in range(n_buckets):
        rows = keys.bucket(bucket).combine_chunks()
        if (key := repeated(rows["path"])) is not None:
            raise UsageError(f"{labels.name} has the path {key!r} twice: keep one of them")
        by_name, by_stem = (files.bucket(bucket).combine_chunks() for files in (names, stems))
        whole = pc.utf8_normalize(by_name[_OWN], "NFC")
        rows = _others(rows, by_name.filter(pc.equal(whole, by_name["path"])))
        for files in (by_name, by_stem):
            files = files.filter(pc.is_in(files["path"], rows["path"].combine_chunks()))
            if (key := repeated(files["path"])) is not None:
                first, second, *_ = sorted(
                    files.filter(pc.equal(files["path"], key))[_OWN].to_pylist()
                )
                raise UsageError(
                    f"{labels.name} has {key!r}, which may be {first!r} or {second!r}: write the"
                    " whole path"
                )
            at = pc.index_in(files["path"], rows["path"].combine_chunks())
            labelled = rows.take(at.combine_chunks()).set_column(0, "path", files[_OWN])
            if len(labelled) and (others := others_of(labelled[_OWN].to_pylist())):
                is_other = pc.is_in(labelled[_OWN], pa.array(sorted(others), pa.string()))
                labelled = labelled.filter(pc.invert(is_other))
            labels.add_matched(labelled.select(labels.schema.names))
            n_matched += len(labelled)
            rows = _others(rows, files)
    labels.set_buckets(n_buckets)
    return n_matched


def _others(rows: pa.Table, files: pa.Table) -> pa.Table:
    """Return the rows whose key is not that of a file."""
    return rows.filter(pc.invert(pc.is_in(rows["path"], files["path"].combine_chunks())))


def _unused(
    labels: LabelFile, listed: PartitionedRows, root: str, n_buckets: int
) -> PartitionedRows:
    """Return the labels that have no file and whose path has other forms, by key."""
    unused = PartitionedRows(pa.schema([*_KEYED, *list(labels.schema)[1:]]))
    for bucket in range(n_buckets):
        used = set(listed.bucket(bucket)["path"].to_pylist())
        rows = labels.rows(bucket)
        keys: list[str] = []
        indices: list[int] = []
        for index, path in enumerate(rows["path"].to_pylist()):
            if path not in used:
                keys_of_path = _keys(path, root)
                keys += keys_of_path
                indices += [index] * len(keys_of_path)
        rows = rows.take(pa.array(indices, pa.int64()))
        rows = rows.rename_columns([_OWN, *rows.column_names[1:]])
        unused.add(rows.add_column(0, "path", pa.array(keys, pa.string())))
    unused.set_buckets(n_buckets)
    return unused


def _unlabelled(labels: LabelFile, listed: PartitionedRows, n_buckets: int) -> PartitionedRows:
    """Return the files without a label, by key."""
    unlabelled = PartitionedRows(_KEYED)
    for bucket in range(n_buckets):
        labelled = set(labels.bucket(bucket)["path"].to_pylist())
        paths = listed.bucket(bucket)["path"].to_pylist()
        paths = [path for path in paths if path not in labelled]
        keys = [normalize("NFC", path) for path in paths]
        unlabelled.add(pa.table({"path": keys, _OWN: paths}, _KEYED))
    unlabelled.set_buckets(n_buckets)
    return unlabelled


def _keys(path: str, root: str) -> set[str]:
    """Return the keys that a path shares with its other forms; none if it has no other form."""
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

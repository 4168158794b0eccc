"""Compare a listing with the entries of the table, in Arrow columns. Pure functions, no I/O.

Each path has at most one row in the listing, and usually one entry in the table. A run that
was killed between two writes of parts can leave entries of a file in two parts. `place` decides
which rows each file has after the merge.

Three tables are the input, all of one hash bucket:

- *items*: the listing, with ``path``, ``size_bytes``, ``source_version`` and the attributes;
- *entries*: one row for each file of each part, with ``path``, `PART`, ``source_version``,
  ``spec_fingerprint``, ``run_id``, ``error_kind`` (null for features) and the attributes;
- *outcomes*: the first rows of extracted files, with ``path``, ``source_version``,
  ``spec_fingerprint``, ``run_id`` and ``error_kind``, and ``label`` if labels are of the files.

Attributes are the label and the carried columns. They have the same names in both tables. If
the label of a file is one of its tags, it is known only when the file is read: the listing has no
label then, and rows keep the label with which they were extracted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jobs.errors import CONTENT_KINDS, ENVIRONMENT_KINDS

#: Column of entries: the name of the part; no carried column can have this name.
PART = "by_part"

_NONE = -1

#: Columns of items that are no attributes, and columns of outcomes.
_OF_ITEMS = ("path", "size_bytes", "source_version")
_OF_OUTCOMES = ("path", "source_version", "spec_fingerprint", "run_id", "error_kind")


class Change(StrEnum):
    """Planning class of a path.

    ``MISSING`` files are not in the listing, but the listing is not the whole corpus, so
    they are kept. Only of a file that had vanished the error is not kept.
    """

    NEW = "new"
    CHANGED = "changed"
    RETRY = "retry"
    RELABELLED = "relabelled"
    UNCHANGED = "unchanged"
    DELETED = "deleted"
    MISSING = "missing"


#: Planning classes whose files are extracted.
EXTRACTED = frozenset({Change.NEW, Change.CHANGED, Change.RETRY})

_CHANGES = tuple(Change)
_CODE = {change: code for code, change in enumerate(_CHANGES)}
_IS_EXTRACTED = np.array([change in EXTRACTED for change in _CHANGES])


@dataclass(frozen=True, slots=True)
class PlanOptions:
    """Options of a run that matter for planning.

    Attributes
    ----------
    fingerprint : str
        Fingerprint of the spec.
    delete_missing : bool
        Whether files that are not listed leave the table.
    retry_failed : bool
        Whether to extract files again that failed by their content.
    recompute : bool
        Whether to extract every file again.
    reusable_runs : frozenset of str, optional
        Runs whose staged files may be used; None for all.
    own_labels : bool
        Whether rows keep the labels with which they were extracted.
    label_decides : bool
        Whether the listed label decides what is made of a file. A file with another label is
        extracted again then.
    """

    fingerprint: str
    delete_missing: bool = True
    retry_failed: bool = False
    recompute: bool = False
    reusable_runs: frozenset[str] | None = None
    own_labels: bool = False
    label_decides: bool = False


@dataclass(frozen=True)
class Comparison:
    """The planning classes of all files of a hash bucket.

    Files are numbered: first those of the listing, in its order, then those that are only in
    the table.

    Attributes
    ----------
    items, entries : pyarrow.Table
        The listing and the table, as above.
    only_held : pyarrow.Array
        Paths that are only in the table.
    file_of_entry : np.ndarray [shape=(n_entries,), dtype=int64]
        Number of the file of each entry.
    change : np.ndarray [shape=(n_files,), dtype=int8]
        Planning class of each file, as its position in `Change`.
    kept : np.ndarray [shape=(n_files,), dtype=int64]
        Row of the entry to keep if the file is not extracted; -1 for none.
    """

    items: pa.Table
    entries: pa.Table
    only_held: pa.Array
    file_of_entry: np.ndarray
    change: np.ndarray
    kept: np.ndarray

    @cached_property
    def counts(self) -> Counter[Change]:
        """Number of files by planning class."""
        numbers = np.bincount(self.change, minlength=len(_CHANGES))
        return Counter({c: int(n) for c, n in zip(_CHANGES, numbers, strict=True) if n})

    @property
    def n_vanished(self) -> int:
        """Number of deleted files whose only entries say that they had vanished before."""
        gone = np.flatnonzero(self.change == _CODE[Change.DELETED])
        others = ~_is_in(self.entries["error_kind"], ["vanished"])
        return len(gone) - int(np.isin(gone, self.file_of_entry[others]).sum())

    @property
    def extract(self) -> np.ndarray:
        """Rows of the listing whose files are extracted."""
        return np.flatnonzero(_IS_EXTRACTED[self.change])

    @property
    def n_surplus(self) -> int:
        """Number of entries that leave the table because their file has another entry."""
        n_entries = np.bincount(self.file_of_entry, minlength=len(self.change))
        stays = self.change != _CODE[Change.DELETED]
        return int(np.maximum(n_entries[stays] - 1, 0).sum())

    @property
    def n_held(self) -> int:
        """Number of files in the table now, with features or an error."""
        return int(np.count_nonzero(np.bincount(self.file_of_entry)))

    @property
    def n_kept_errors(self) -> int:
        """Number of entries to keep that are errors."""
        return int(np.count_nonzero(_at(_is_error(self.entries), self.kept)))

    @property
    def n_after(self) -> int:
        """Number of files in the table after the run."""
        return len(self.change) - self.counts[Change.DELETED]

    @property
    def has_changes(self) -> bool:
        """Whether any part of the bucket changes."""
        same = self.counts[Change.UNCHANGED] + self.counts[Change.MISSING]
        return same < len(self.change) or self.n_surplus > 0


def compare(items: pa.Table, entries: pa.Table, options: PlanOptions) -> Comparison:
    """Return the planning class of every file of a hash bucket.

    Of several entries of a file, features are better than an error, and then the latest run
    is best. An entry that is current, with the listed attributes, is better than any other.

    Parameters
    ----------
    items, entries : pyarrow.Table
        The listing and the table. No path is listed twice.
    options : PlanOptions
        The run's options.
    """
    n_items = len(items)
    file_of_entry, only_held = _match(items["path"], entries["path"])
    n_files = n_items + len(only_held)
    is_error = _is_error(entries)
    order = _by_standing(entries, is_error)
    kept = _last(file_of_entry, order, n_files)
    change = np.full(n_files, _CODE[Change.NEW], np.int8)
    change[kept != _NONE] = _CODE[Change.CHANGED]
    change[_at(is_error, kept)] = _CODE[Change.RETRY]
    if not options.recompute:
        listed = np.flatnonzero(file_of_entry < n_items)
        current = listed[_is_current(items, entries, file_of_entry, listed, options)]
        names = attribute_names(items)
        of_items = items.select(names).take(pa.array(file_of_entry[current]))
        of_entries = entries.select(names).take(pa.array(current))
        if options.own_labels:
            of_items = of_items.set_column(0, names[0], of_entries[names[0]])
        exact = current[same_attributes(of_items, of_entries)]
        for rows, class_ in ((current, Change.RELABELLED), (exact, Change.UNCHANGED)):
            found = _last(file_of_entry, order[_mask(rows, len(entries))[order]], n_files)
            change[found != _NONE] = _CODE[class_]
            kept = np.where(found != _NONE, found, kept)
    if options.delete_missing:
        change[n_items:], kept[n_items:] = _CODE[Change.DELETED], _NONE
    else:
        change[n_items:] = _CODE[Change.MISSING]
        # perhaps it is listed under another name now
        is_gone = _at(_is_in(entries["error_kind"], ["vanished"]), kept[n_items:])
        change[n_items:][is_gone], kept[n_items:][is_gone] = _CODE[Change.DELETED], _NONE
    return Comparison(items, entries, only_held, file_of_entry, change, kept)


def usable_outcomes(
    outcomes: pa.Table, items: pa.Table, options: PlanOptions, own_run: str | None = None
) -> np.ndarray:
    """Return the rows of the best usable outcomes, one for each path.

    Of several outcomes of a file, features are better than an error, and then the later row is
    better. Two attempts at the same file give equal rows.

    Parameters
    ----------
    outcomes : pyarrow.Table
        The outcomes, the earliest run first.
    items : pyarrow.Table
        The listing.
    options : PlanOptions
        The run's options. An outcome of an earlier run is usable if it equals what this run
        would compute.
    own_run : str, optional
        Run whose outcomes are all usable: it has read the current files.
    """
    is_usable = _is_reusable(outcomes, items, options)
    if own_run is not None:
        is_usable |= _true(pc.equal(outcomes["run_id"], own_run))
    is_error = _is_error(outcomes)
    order = np.concatenate(
        [np.flatnonzero(is_usable & is_error), np.flatnonzero(is_usable & ~is_error)]
    )
    paths = _plain(outcomes["path"]).dictionary_encode()
    best = _last(paths.indices.to_numpy(), order, len(paths.dictionary))
    return best[best != _NONE]


@dataclass(frozen=True)
class Placement:
    """Where the rows of each file come from and go to in a merge; one value for each file.

    Attributes
    ----------
    paths : pyarrow.Array
        Paths of the files that are in the table after the merge, sorted.
    parts : list of str
        Names of parts.
    part : np.ndarray [dtype=int64]
        Part that has the rows after the merge, as a position in `parts`.
    entry : np.ndarray [dtype=int64]
        Row of the entry whose rows are kept or moved; -1 if they come from a staged file.
    outcome : np.ndarray [dtype=int64]
        Row of the outcome whose rows are taken; -1 if they come from an entry.
    attributes : pyarrow.Table
        The attributes.
    is_new : np.ndarray [dtype=bool]
        Whether the rows are new in their part, or have other attributes than before.
    """

    paths: pa.Array
    parts: list[str]
    part: np.ndarray
    entry: np.ndarray
    outcome: np.ndarray
    attributes: pa.Table
    is_new: np.ndarray


def place(
    comparison: Comparison,
    outcomes: pa.Table,
    chosen: np.ndarray,
    part_of: Callable[[str | None, bool], str],
    *,
    own_labels: bool = False,
) -> Placement:
    """Return where the rows of every file are after the merge.

    If the environment made a file fail, its features in the table are kept. A file that was
    to be extracted but has no outcome keeps its entry.

    Parameters
    ----------
    comparison : Comparison
        The comparison of the bucket.
    outcomes : pyarrow.Table
        The outcomes of extraction.
    chosen : np.ndarray
        Rows of the outcomes to use, at most one for each path.
    part_of : callable
        Returns the name of the part for a label, and for whether the row is an error.
    own_labels : bool
        Whether labels are of the files, not of the listing.
    """
    items, entries, kept = comparison.items, comparison.entries, comparison.kept
    n_items = len(items)
    is_error = _is_error(entries)
    outcome = np.full(len(kept), _NONE)
    outcome[:n_items] = _outcome_of_items(comparison, outcomes, chosen)
    outcome[~_IS_EXTRACTED[comparison.change]] = _NONE
    stands = (kept != _NONE) & ~_at(is_error, kept)
    is_environment = _is_in(outcomes["error_kind"], ENVIRONMENT_KINDS)
    outcome[stands & _at(is_environment, outcome)] = _NONE

    paths = pa.concat_arrays([_plain(items["path"]), comparison.only_held])
    files = np.flatnonzero((outcome != _NONE) | (kept != _NONE))
    files = files[pc.sort_indices(paths.take(pa.array(files))).to_numpy()]
    outcome, kept = outcome[files], kept[files]
    entry = np.where(outcome == _NONE, kept, _NONE)

    names = attribute_names(items)
    both = pa.concat_tables([items.select(names), entries.select(names)]).combine_chunks()
    attributes = both.take(pa.array(np.where(files < n_items, files, n_items + kept)))
    if own_labels:
        labels = _own_labels(entries[names[0]], entry, outcomes[names[0]], outcome)
        attributes = attributes.set_column(0, names[0], labels)
    becomes_error = _at(is_error, entry) | _at(_is_error(outcomes), outcome)
    parts, part = _parts_of(_plain(attributes[names[0]]), becomes_error, part_of)
    stays = np.flatnonzero(entry != _NONE)
    stays = stays[part[stays] == _positions(entries[PART], parts)[entry[stays]]]
    before, after = entries.select(names).take(pa.array(entry[stays])), attributes
    stays = stays[same_attributes(before, after.take(pa.array(stays)))]
    is_new = ~_mask(stays, len(files))
    return Placement(paths.take(pa.array(files)), parts, part, entry, outcome, attributes, is_new)


def _own_labels(
    of_entries: pa.ChunkedArray,
    entry: np.ndarray,
    of_outcomes: pa.ChunkedArray,
    outcome: np.ndarray,
) -> pa.Array:
    """Return for each file the label of its entry or outcome."""
    labels = pa.concat_arrays([_plain(of_entries), _plain(of_outcomes)])
    return labels.take(pa.array(np.where(outcome == _NONE, entry, len(of_entries) + outcome)))


def unfinished(comparison: Comparison, outcomes: pa.Table, chosen: np.ndarray) -> pa.Array:
    """Return the paths of the files that have to be extracted and have no chosen outcome."""
    found = _outcome_of_items(comparison, outcomes, chosen)
    is_extracted = _IS_EXTRACTED[comparison.change[: len(found)]]
    rows = np.flatnonzero(is_extracted & (found == _NONE))
    return _plain(comparison.items["path"]).take(pa.array(rows))


def lost_entries(comparison: Comparison, placement: Placement) -> np.ndarray:
    """Return the rows of the entries whose rows leave their part, or are replaced there."""
    part = _positions(comparison.entries[PART], placement.parts)
    stays = placement.entry[~placement.is_new]
    stays_in = np.full(len(comparison.change), _NONE)
    stays_in[comparison.file_of_entry[stays]] = part[stays]
    stays_here = stays_in[comparison.file_of_entry]
    return np.flatnonzero((stays_here == _NONE) | (stays_here != part))


def attribute_names(items: pa.Table) -> list[str]:
    """Return the names of the attributes, the label first."""
    return [name for name in items.column_names if name not in _OF_ITEMS]


def same_attributes(some: pa.Table, others: pa.Table) -> np.ndarray:
    """Return for each row whether two tables are equal; null and NaN are equal to themselves.

    Parameters
    ----------
    some, others : pyarrow.Table
        Tables with the same columns and number of rows.
    """
    same = np.ones(len(some), bool)
    for name in some.column_names:
        one, other = some[name], others[name]
        if pa.types.is_float16(one.type):
            one, other = one.cast(pa.float32()), other.cast(pa.float32())
        equal = _true(pc.equal(one, other)) | _true(pc.and_(pc.is_null(one), pc.is_null(other)))
        if pa.types.is_floating(one.type):
            equal |= _true(pc.and_(pc.is_nan(one), pc.is_nan(other)))
        same &= equal
    return same


def _match(listed: pa.ChunkedArray, held: pa.ChunkedArray) -> tuple[np.ndarray, pa.Array]:
    """Return the number of the file of each entry, and the paths that are only in the table."""
    found = pc.index_in(held, _plain(listed))
    files = pc.fill_null(found, _NONE).to_numpy().astype(np.int64)
    others = np.flatnonzero(files == _NONE)
    encoded = _plain(held).take(pa.array(others)).dictionary_encode()
    files[others] = len(listed) + encoded.indices.to_numpy()
    return files, encoded.dictionary


def _by_standing(entries: pa.Table, is_error: np.ndarray) -> np.ndarray:
    """Return the rows of entries from the worst to the best; of equal ones the first is best."""
    runs = _plain(entries["run_id"]).dictionary_encode()
    n_runs = len(runs.dictionary)
    rank = np.empty(n_runs + 1, np.int64)
    rank[pc.sort_indices(runs.dictionary).to_numpy()] = np.arange(n_runs)
    rank[n_runs] = _NONE  # of no run
    of_run = rank[pc.fill_null(runs.indices, n_runs).to_numpy()]
    standing = np.where(is_error, of_run, of_run + n_runs + 1)
    return len(entries) - 1 - np.argsort(standing[::-1], kind="stable")


def _last(files: np.ndarray, order: np.ndarray, n_files: int) -> np.ndarray:
    """Return for each file the last row in an order of rows; -1 for a file with none."""
    last = np.full(n_files, _NONE)
    of_file = files[order]
    if len(order) and np.bincount(of_file).max() > 1:
        of_file, first = np.unique(of_file[::-1], return_index=True)
        order = order[::-1][first]
    last[of_file] = order
    return last


def _is_current(
    items: pa.Table,
    entries: pa.Table,
    file_of_entry: np.ndarray,
    listed: np.ndarray,
    options: PlanOptions,
) -> np.ndarray:
    """Return for each listed entry whether it is what a run would compute now."""
    rows = pa.array(file_of_entry[listed])
    names = [*_OF_OUTCOMES, *(_label_of(items) if options.label_decides else ())]
    entries = entries.select(names).take(pa.array(listed))
    versions = _plain(items["source_version"]).take(rows)
    is_same = _true(pc.equal(entries["source_version"], versions))
    if options.label_decides:
        is_same &= _has_label(entries, items, rows)
    return is_same & _is_wanted(entries, options)


def _is_reusable(outcomes: pa.Table, items: pa.Table, options: PlanOptions) -> np.ndarray:
    item = _plain(pc.index_in(outcomes["path"], _plain(items["path"])))
    versions = _plain(items["source_version"]).take(item)
    is_same = _true(pc.equal(outcomes["source_version"], versions))
    if options.label_decides:
        is_same &= _has_label(outcomes, items, item)
    if options.reusable_runs is not None:
        is_same &= _is_in(outcomes["run_id"], options.reusable_runs)
    return is_same & _is_wanted(outcomes, options)


def _label_of(items: pa.Table) -> list[str]:
    """Return the name of the column of labels; none if the listing has no labels."""
    return attribute_names(items)[:1]


def _has_label(rows: pa.Table, items: pa.Table, of_items: pa.Array) -> np.ndarray:
    """Return for each row whether it has the label of its item."""
    names = _label_of(items)
    listed = items.select(names).take(of_items)
    return same_attributes(rows.select(names), listed)


def _is_wanted(rows: pa.Table, options: PlanOptions) -> np.ndarray:
    """Return for each row whether it is of this spec, and no error that is tried again."""
    is_wanted = _true(pc.equal(rows["spec_fingerprint"], options.fingerprint))
    is_fine = ~_is_error(rows)
    if not options.retry_failed:
        is_fine |= _is_in(rows["error_kind"], CONTENT_KINDS)
    return is_wanted & is_fine


def _outcome_of_items(comparison: Comparison, outcomes: pa.Table, chosen: np.ndarray) -> np.ndarray:
    """Return for each file of the listing the row of its chosen outcome; -1 for none."""
    found = np.full(len(comparison.items), _NONE)
    paths = _plain(outcomes["path"]).take(pa.array(chosen))
    item = pc.fill_null(pc.index_in(paths, _plain(comparison.items["path"])), _NONE).to_numpy()
    found[item[item != _NONE]] = chosen[item != _NONE]
    return found


def _parts_of(
    labels: pa.Array, is_error: np.ndarray, part_of: Callable[[str | None, bool], str]
) -> tuple[list[str], np.ndarray]:
    """Return names of parts, and for each file the position of its part's name."""
    encoded = labels.dictionary_encode("encode")
    numbers: dict[str, int] = {}
    of_label = np.array(
        [
            numbers.setdefault(part_of(label, False), len(numbers))
            for label in encoded.dictionary.to_pylist()
        ],
        np.int64,
    )
    part = of_label[encoded.indices.to_numpy()] if len(labels) else np.zeros(0, np.int64)
    if is_error.any():
        part[is_error] = numbers.setdefault(part_of(None, True), len(numbers))
    return list(numbers), part


def _positions(names: pa.ChunkedArray, parts: Sequence[str]) -> np.ndarray:
    """Return the position of each name in a list of names; -1 for other names."""
    return pc.fill_null(pc.index_in(names, pa.array(parts, pa.string())), _NONE).to_numpy()


def _at(values: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return the flag at each row; False where the row is -1."""
    return np.append(values, False)[rows]


def _mask(rows: np.ndarray, n: int) -> np.ndarray:
    mask = np.zeros(n, bool)
    mask[rows] = True
    return mask


def _is_error(rows: pa.Table) -> np.ndarray:
    return _true(pc.is_valid(rows["error_kind"]))


def _is_in(values: pa.ChunkedArray, wanted: Iterable[str]) -> np.ndarray:
    return _true(pc.is_in(values, pa.array(sorted(wanted), pa.string())))


def _true(flags: pa.Array | pa.ChunkedArray) -> np.ndarray:
    """Return flags as an array; null is False."""
    return np.array(pc.fill_null(flags, False), bool)


def _plain(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column

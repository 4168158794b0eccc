"""Planning: the class of each file, and what becomes of each entry."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.errors import CONTENT_KINDS, ENVIRONMENT_KINDS
from jobs.table.changes import (
    PART,
    Change,
    Comparison,
    Placement,
    PlanOptions,
    compare,
    lost_entries,
    place,
    same_attributes,
    unfinished,
    usable_outcomes,
)
from tests.support import planning
from tests.support.planning import Assignment, Item, Outcome, TableEntry, nan_safe

RULES = PlanOptions("f1")
ATTRIBUTES = pa.schema([("label", pa.string()), ("bpm", pa.float64())])
ITEMS = pa.schema(
    [("path", pa.string()), ("size_bytes", pa.int64()), ("source_version", pa.string())]
)
OUTCOMES = pa.schema(
    [
        (name, pa.string())
        for name in ("path", "source_version", "spec_fingerprint", "run_id", "error_kind")
    ]
)
ENTRIES = pa.schema([*OUTCOMES, (PART, pa.string()), *ATTRIBUTES])


def table(rows: Sequence[tuple[Any, ...]], schema: pa.Schema) -> pa.Table:
    columns = list(zip(*rows, strict=True)) or [()] * len(schema)
    return pa.Table.from_arrays(
        [pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)], schema=schema
    )


def listed(items: Sequence[Item]) -> pa.Table:
    rows = [(i.path, i.size, i.version, *attributes(i)) for i in items]
    return table(rows, pa.schema([*ITEMS, *ATTRIBUTES]))


def attributes(row: Item | TableEntry) -> tuple[Any, ...]:
    return (*row.attributes, None)[:2]


def held_rows(entries: Sequence[TableEntry]) -> pa.Table:
    rows = [
        (e.path, e.version, e.fingerprint, e.run_id, e.error_kind, e.part, *attributes(e))
        for e in entries
    ]
    return table(rows, ENTRIES)


def outcome_rows(outcomes: Sequence[Outcome]) -> pa.Table:
    rows = [(o.path, o.version, o.fingerprint, o.run_id, o.error_kind) for o in outcomes]
    return table(rows, OUTCOMES)


def compared(
    item: Item | None, entries: Sequence[TableEntry], options: PlanOptions = RULES
) -> Comparison:
    return compare(listed([item] if item else []), held_rows(entries), options)


def classify(
    item: Item | None, entries: Sequence[TableEntry], options: PlanOptions
) -> tuple[Change, TableEntry | None]:
    comparison = compared(item, entries, options)
    [change], [kept] = comparison.counts, comparison.kept
    return change, entries[kept] if kept >= 0 else None


def part_of(label: str | None, is_error: bool) -> str:
    return "errors" if is_error else str(label)


def resolve(
    item: Item | None, entries: Sequence[TableEntry], outcomes: Sequence[Outcome]
) -> list[Assignment]:
    found = outcome_rows(outcomes)
    comparison = compared(item, entries)
    placement = place(comparison, found, np.arange(len(found)), part_of)
    return assignments(placement, entries, 1)


def assignments(
    placement: Placement, entries: Sequence[TableEntry], n_attributes: int
) -> list[Assignment]:
    columns = [c.to_pylist() for c in placement.attributes.columns[:n_attributes]]
    return [
        Assignment(
            path,
            placement.parts[placement.part[i]],
            entries[placement.entry[i]] if placement.entry[i] >= 0 else None,
            nan_safe(column[i] for column in columns),
        )
        for i, path in enumerate(placement.paths.to_pylist())
    ]


def item(version: str = "v1", label: str | None = "rock") -> Item:
    return Item("a.wav", 10, version, (label,))


def held(
    version: str = "v1",
    *,
    label: str | None = "rock",
    part: str = "rock",
    fingerprint: str = "f1",
    run: str = "r1",
    error: str | None = None,
) -> TableEntry:
    return TableEntry("a.wav", part, version, fingerprint, run, (label,), error)


@pytest.mark.parametrize(
    ("listed", "entries", "rules", "change"),
    [
        (item(), [], {}, Change.NEW),
        (item(), [held()], {}, Change.UNCHANGED),
        (item("v2"), [held()], {}, Change.CHANGED),
        (item(), [held(fingerprint="f0")], {}, Change.CHANGED),
        (item(label="jazz"), [held()], {}, Change.RELABELLED),
        (item(label=None), [held()], {}, Change.RELABELLED),
        (None, [held()], {}, Change.DELETED),
        (None, [held()], {"delete_missing": False}, Change.MISSING),
        (None, [held(error="empty")], {"delete_missing": False}, Change.MISSING),
        (None, [held(error="vanished")], {"delete_missing": False}, Change.DELETED),
        (None, [held(error="vanished"), held()], {"delete_missing": False}, Change.MISSING),
        (item(), [held()], {"recompute": True}, Change.CHANGED),
        (item(), [held(error="empty")], {}, Change.UNCHANGED),
        (item(), [held(error="empty")], {"retry_failed": True}, Change.RETRY),
        (item(), [held(error="empty")], {"recompute": True}, Change.RETRY),
        (item("v2"), [held(error="empty")], {}, Change.RETRY),
        (item(label="jazz"), [held(error="empty")], {}, Change.RELABELLED),
        (item(), [held(error="timed_out")], {}, Change.RETRY),
        (item(), [held(error="vanished")], {}, Change.RETRY),
        (item(), [held("v0"), held()], {}, Change.UNCHANGED),
    ],
)
def test_classes(
    listed: Item | None, entries: list[TableEntry], rules: dict, change: Change
) -> None:
    assert classify(listed, entries, PlanOptions("f1", **rules))[0] == change


def test_every_kind_of_error_is_of_one_class() -> None:
    assert not CONTENT_KINDS & ENVIRONMENT_KINDS
    for kind in CONTENT_KINDS:
        assert classify(item(), [held(error=kind)], RULES)[0] == Change.UNCHANGED
    for kind in ENVIRONMENT_KINDS:
        assert classify(item(), [held(error=kind)], RULES)[0] == Change.RETRY


def test_of_several_entries_the_matching_one_stays() -> None:
    old, new = held(label="jazz", part="jazz"), held(run="r2")
    assert classify(item(), [old, new], RULES) == (Change.UNCHANGED, new)
    assert classify(item(), [new, old], RULES) == (Change.UNCHANGED, new)
    plan = compared(item(), [old, new])
    assert (plan.n_surplus, plan.n_after, list(plan.extract)) == (1, 1, [])
    assert plan.has_changes


def test_of_a_row_and_an_error_the_row_stays() -> None:
    row, error = held("v0"), held("v0", error="timed_out", run="r9")
    assert classify(None, [error, row], PlanOptions("f1", delete_missing=False)) == (
        Change.MISSING,
        row,
    )
    assert classify(item(), [error, row], RULES) == (Change.CHANGED, row)


def outcome(version: str = "v2", kind: str | None = None) -> Outcome:
    return Outcome("a.wav", version, "f1", "r2", kind)


def test_resolve_takes_what_was_extracted() -> None:
    [placed] = resolve(item("v2"), [held()], [outcome()])
    assert (placed.part, placed.source, placed.attributes) == ("rock", None, ("rock",))


def test_a_content_error_replaces_the_row() -> None:
    [placed] = resolve(item("v2"), [held()], [outcome(kind="empty")])
    assert (placed.part, placed.source) == ("errors", None)


def test_an_environment_error_never_replaces_a_row() -> None:
    found = [outcome(kind="unreadable")]
    [kept] = resolve(item("v2"), [held()], found)
    assert (kept.part, kept.source) == ("rock", held())
    error = held(error="empty", part="errors")
    [replaced] = resolve(item("v2"), [error], found)
    assert (replaced.part, replaced.source) == ("errors", None)


def test_resolve_moves_what_is_relabelled_and_drops_what_is_deleted() -> None:
    [moved] = resolve(item(label="jazz"), [held()], [])
    assert (moved.part, moved.source, moved.attributes) == ("jazz", held(), ("jazz",))
    assert resolve(None, [held()], []) == []


def test_a_file_without_an_outcome_keeps_what_it_has() -> None:
    [kept] = resolve(item("v2"), [held()], [])
    assert kept.source == held()
    assert resolve(item(), [], []) == []


def is_reusable(outcome: Outcome, item: Item | None, options: PlanOptions) -> bool:
    rows = usable_outcomes(outcome_rows([outcome]), listed([item] if item else []), options)
    return len(rows) == 1


def test_which_staged_files_may_be_used() -> None:
    assert is_reusable(outcome(), item("v2"), RULES)
    assert not is_reusable(outcome(), item("v3"), RULES)
    assert not is_reusable(outcome(), None, RULES)
    assert not is_reusable(outcome(), item("v2"), PlanOptions("f2"))
    assert is_reusable(outcome(kind="empty"), item("v2"), RULES)
    assert not is_reusable(outcome(kind="empty"), item("v2"), PlanOptions("f1", retry_failed=True))
    assert not is_reusable(outcome(kind="timed_out"), item("v2"), RULES)


# against the reference

PATHS = ["a.wav", "b/\u00e9.wav", "c.wav", "d.wav", "\U0001f600.wav", "\uffff.wav"]
versions = st.sampled_from(["v1", "v2"])
fingerprints = st.sampled_from(["f1", "f1", "f1", "f0"])
runs = st.sampled_from(["r1", "r2", "r3"])
kinds = st.sampled_from([None, None, None, "empty", "crashed", "unreadable", "vanished"])
attributes_of = st.tuples(
    st.sampled_from(["rock", "jazz", None]), st.sampled_from([None, 1.0, math.nan])
).map(nan_safe)
items_of = st.dictionaries(
    st.sampled_from(PATHS), st.tuples(st.none() | st.integers(0, 9), versions, attributes_of)
)


@st.composite
def entries_of(draw: st.DrawFn) -> list[TableEntry]:
    entries = []
    for path in draw(st.lists(st.sampled_from(PATHS), max_size=10)):
        own, kind = draw(attributes_of), draw(kinds)
        where = part_of(own[0], kind is not None)
        values = [draw(each) for each in (versions, fingerprints, runs)]
        entries.append(TableEntry(path, where, *values, own, kind))
    return entries


outcomes_of = st.lists(
    st.builds(Outcome, st.sampled_from(PATHS), versions, fingerprints, runs, kinds), max_size=10
)
options_of = st.builds(
    PlanOptions,
    st.just("f1"),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.none() | st.frozensets(runs),
)


@given(items_of, entries_of(), outcomes_of, options_of, st.none() | runs)
def test_columns_give_what_a_loop_over_files_gives(
    of_path: dict[str, Any],
    entries: list[TableEntry],
    outcomes: list[Outcome],
    options: PlanOptions,
    own_run: str | None,
) -> None:
    """Duplicates over parts, errors, other specs, recompute, retry, missing, carried columns."""
    items = {path: Item(path, *values) for path, values in of_path.items()}
    held: dict[str, list[TableEntry]] = {}
    for entry in entries:
        held.setdefault(entry.path, []).append(entry)
    expected = planning.plan_bucket(items, held, options)
    rows, found = listed(list(items.values())), outcome_rows(outcomes)
    comparison = compare(rows, held_rows(entries), options)
    assert comparison.counts == expected.counts
    paths = rows["path"].to_pylist()
    assert sorted(paths[i] for i in comparison.extract) == [i.path for i in expected.extract]
    for name in ("n_surplus", "n_vanished", "n_held", "n_after", "has_changes"):
        assert getattr(comparison, name) == getattr(expected, name), name
    assert comparison.n_kept_errors == expected.n_held_errors
    of_file = [*paths, *comparison.only_held.to_pylist()]
    for number, path in enumerate(of_file):
        change, kept = planning.classify(items.get(path), held.get(path, ()), options)
        assert tuple(Change)[comparison.change[number]] == change
        assert kept == (entries[comparison.kept[number]] if comparison.kept[number] >= 0 else None)

    usable = planning.usable(outcomes, items, options, own_run)
    chosen = usable_outcomes(found, rows, options, own_run)
    assert sorted(chosen) == sorted(usable.values())
    taken = {path: outcomes[index] for path, index in usable.items()}
    placed = planning.resolve(items, held, taken, options, part_of)
    placement = place(comparison, found, chosen, part_of)
    assert assignments(placement, entries, 2) == sorted(placed, key=lambda p: p.path.encode())
    for path, source, row in zip(
        placement.paths.to_pylist(), placement.entry, placement.outcome, strict=True
    ):
        assert (source >= 0) != (row >= 0)
        assert row < 0 or usable[path] == row
    assert set(unfinished(comparison, found, chosen).to_pylist()) == {
        i.path for i in expected.extract if i.path not in usable
    }
    is_new = {
        p.path: p.source is None or (p.source.part, p.source.attributes) != (p.part, p.attributes)
        for p in placed
    }
    assert dict(zip(placement.paths.to_pylist(), placement.is_new, strict=True)) == is_new
    stays = {p.path: p.part for p in placed if not is_new[p.path]}
    assert set(lost_entries(comparison, placement)) == {
        i for i, entry in enumerate(entries) if stays.get(entry.path) != entry.part
    }


@pytest.mark.parametrize("kind", [pa.float16(), pa.float32(), pa.float64()])
def test_nothing_and_nan_are_equal_to_themselves(kind: pa.DataType) -> None:
    values = [1.0, None, math.nan]
    grid = [(one, other) for one in values for other in values]
    columns = (
        pa.table({"x": pa.array(np.array(c, object), pa.float64()).cast(kind)})
        for c in zip(*grid, strict=True)
    )
    assert same_attributes(*columns).tolist() == [i in (0, 4, 8) for i in range(9)]

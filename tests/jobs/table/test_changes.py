"""Planning: the class of each file, and what becomes of each entry."""

from __future__ import annotations

import pytest

from jobs.corpus.source_file import SourceFile
from jobs.errors import CONTENT_KINDS, ENVIRONMENT_KINDS
from jobs.table.changes import (
    Change,
    Outcome,
    PlanOptions,
    TableEntry,
    classify,
    is_reusable,
    plan_bucket,
    resolve,
)

RULES = PlanOptions("f1")


def item(version: str = "v1", label: str | None = "rock") -> SourceFile:
    return SourceFile("a.wav", 10, version, (label,))


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
    listed: SourceFile | None, entries: list[TableEntry], rules: dict, change: Change
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
    plan = plan_bucket({"a.wav": item()}, {"a.wav": [old, new]}, RULES)
    assert (plan.n_surplus, plan.n_after, plan.extract) == (1, 1, [])
    assert plan.has_changes


def test_of_a_row_and_an_error_the_row_stays() -> None:
    row, error = held("v0"), held("v0", error="timed_out", run="r9")
    assert classify(None, [error, row], PlanOptions("f1", delete_missing=False)) == (
        Change.MISSING,
        row,
    )
    assert classify(item(), [error, row], RULES) == (Change.CHANGED, row)


def part_of(label: str | None, kind: str | None) -> str:
    return "errors" if kind else str(label)


def outcome(version: str = "v2", kind: str | None = None) -> Outcome:
    return Outcome("a.wav", version, "f1", "r2", kind)


def test_resolve_takes_what_was_extracted() -> None:
    [placed] = resolve(
        {"a.wav": item("v2")}, {"a.wav": [held()]}, {"a.wav": outcome()}, RULES, part_of
    )
    assert (placed.part, placed.source, placed.attributes) == ("rock", None, ("rock",))


def test_a_content_error_replaces_the_row() -> None:
    [placed] = resolve(
        {"a.wav": item("v2")}, {"a.wav": [held()]}, {"a.wav": outcome(kind="empty")}, RULES, part_of
    )
    assert (placed.part, placed.source) == ("errors", None)


def test_an_environment_error_never_replaces_a_row() -> None:
    found = {"a.wav": outcome(kind="unreadable")}
    [kept] = resolve({"a.wav": item("v2")}, {"a.wav": [held()]}, found, RULES, part_of)
    assert (kept.part, kept.source) == ("rock", held())
    error = held(error="empty", part="errors")
    [replaced] = resolve({"a.wav": item("v2")}, {"a.wav": [error]}, found, RULES, part_of)
    assert (replaced.part, replaced.source) == ("errors", None)


def test_resolve_moves_what_is_relabelled_and_drops_what_is_deleted() -> None:
    [moved] = resolve({"a.wav": item(label="jazz")}, {"a.wav": [held()]}, {}, RULES, part_of)
    assert (moved.part, moved.source, moved.attributes) == ("jazz", held(), ("jazz",))
    assert resolve({}, {"a.wav": [held()]}, {}, RULES, part_of) == []


def test_a_file_without_an_outcome_keeps_what_it_has() -> None:
    [kept] = resolve({"a.wav": item("v2")}, {"a.wav": [held()]}, {}, RULES, part_of)
    assert kept.source == held()
    assert resolve({"a.wav": item()}, {}, {}, RULES, part_of) == []


def test_which_staged_files_may_be_used() -> None:
    assert is_reusable(outcome(), item("v2"), RULES)
    assert not is_reusable(outcome(), item("v3"), RULES)
    assert not is_reusable(outcome(), None, RULES)
    assert not is_reusable(outcome(), item("v2"), PlanOptions("f2"))
    assert is_reusable(outcome(kind="empty"), item("v2"), RULES)
    assert not is_reusable(outcome(kind="empty"), item("v2"), PlanOptions("f1", retry_failed=True))
    assert not is_reusable(outcome(kind="timed_out"), item("v2"), RULES)

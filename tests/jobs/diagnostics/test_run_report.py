"""What a run comes to, in numbers and in words."""

from __future__ import annotations

import json
from collections import Counter

from jobs.diagnostics.events import Retried, ShardDone
from jobs.diagnostics.run_report import RunReport
from jobs.execution.results import ShardResult
from jobs.table.changes import Change


def report(**values: object) -> RunReport:
    made = RunReport("r1", "/t", status="done")
    for name, value in values.items():
        setattr(made, name, value)
    return made


def test_exit_codes() -> None:
    assert report().exit_code == 0
    assert report(status="planned").exit_code == 0
    assert report(status="held").exit_code == 3


def test_the_report_is_json_with_every_class() -> None:
    made = report(
        counts=Counter({Change.NEW: 2}), failures=Counter(empty=1), seconds={"plan": 0.12345}
    )
    found = json.loads(json.dumps(made.to_dict()))
    assert found["planned"] == {**dict.fromkeys((c.value for c in Change), 0), "new": 2}
    assert found["failed"] == {"empty": 1}
    assert found["seconds"] == {"plan": 0.123}


def test_a_plan_in_words() -> None:
    made = report(
        counts=Counter({Change.NEW: 12, Change.DELETED: 3}),
        n_surplus=1,
        passed_over=Counter({"hidden": 4, "filtered out": 0, "not audio": 3}),
        not_audio=Counter({".jpg": 2, ".txt": 1}),
    )
    assert [line.split(maxsplit=1) for line in made.plan_lines()] == [
        ["12", "new"],
        ["3", "gone from the corpus, to be deleted"],
        ["1", "surplus entries of an interrupted run, to be removed"],
        ["4", "passed over: hidden"],
        ["3", "passed over: not audio (2 .jpg, 1 .txt)"],
    ]


def test_every_class_has_its_words() -> None:
    assert len(report(counts=Counter(dict.fromkeys(Change, 1))).plan_lines()) == len(Change)


def test_a_summary_in_words() -> None:
    made = report(
        counts=Counter({Change.NEW: 3, Change.UNCHANGED: 4}),
        failures=Counter(empty=1, timed_out=1),
        n_read=3,
        n_files=5,
        n_rows=5,
        n_errors=2,
        n_reused=1,
        passed_over=Counter({"hidden": 1, "not audio": 15}),
        not_audio=Counter({".txt": 3, ".jpg": 12}),
    )
    assert made.summary_lines() == [
        "1 files were finished by an interrupted run before",
        "2 of 3 files failed: 1 empty, 1 timed_out",
        "12 .jpg, 3 .txt, 1 hidden passed over",
        "Done: 3 new",
        "/t: 5 files with features, 2 failed",
    ]


def test_what_was_read_and_tried_again() -> None:
    made = report()
    of_worker = ShardResult(0, audio_s=30.5, n_bytes=1000, retries=Counter(throttled=2, timeout=1))
    for event in (ShardDone(of_worker), ShardDone(of_worker), Retried({"throttled": 1})):
        made(event)
    found = made.to_dict()
    assert (found["audio_s"], found["bytes"]) == (61.0, 2000)
    assert found["retries"] == {"throttled": 5, "timeout": 2}
    assert "The storage throttled requests (SlowDown, 503, 429) 5 times" in made.summary_lines()


def test_nothing_to_do_and_nothing_published() -> None:
    assert report(counts=Counter({Change.UNCHANGED: 4}), n_files=4, n_rows=4).summary_lines() == [
        "Everything is up to date",
        "/t: 4 files with features, 0 failed",
    ]
    assert report(status="held", reason="too many").summary_lines() == [
        "Nothing was published: too many"
    ]

"""Runs and failures as a page shows them."""

from __future__ import annotations

import pandas as pd

from jobs.errors import CONTENT_KINDS, ENVIRONMENT_KINDS
from jobs.report.failures import _KINDS, N_EXAMPLES, failures_of
from jobs.report.runs import runs_of


def test_a_run_that_has_ended() -> None:
    summary = {
        "run_id": "20261127T001313.908Z-a525bc",
        "code": "0.1.0+abc",
        "report": {
            "status": "done",
            "read": 300,
            "failed": {"empty": 2, "undecodable": 7},
            "planned": {"new": 300, "deleted": 4},
            "seconds": {"list": 1.0, "extract": 20.0, "merge": 2.0},
        },
    }
    [run] = runs_of([summary])
    assert run.started == "2026-11-27 00:13:13 UTC"
    assert (run.n_read, run.n_failed, run.n_deleted) == (300, 9, 4)
    assert (run.seconds, run.files_per_s) == (23.0, 15.0)


def test_runs_that_left_little() -> None:
    killed, empty, nothing_new = runs_of(
        [
            {"run_id": "20261127T001313.908Z-a525bc", "report": {"status": "running"}},
            {},
            {"run_id": "odd", "report": {"status": "done", "read": 0, "seconds": {"list": 1}}},
        ]
    )
    assert (killed.status, killed.files_per_s) == ("running", None)
    assert (empty.status, empty.started) == ("unknown", "")
    assert (nothing_new.started, nothing_new.files_per_s) == ("odd", None)


def test_failures_by_kind_the_most_frequent_first() -> None:
    errors = pd.DataFrame(
        {
            "path": [f"{i:02}.wav" for i in range(30)],
            "error_kind": ["empty"] * 5 + ["undecodable"] * 24 + ["of a later version"],
            "message": [f"message {i}" for i in range(30)],
        }
    )
    most, some, unknown = failures_of(errors)
    assert (most.kind, most.n, len(most.examples)) == ("undecodable", 24, N_EXAMPLES)
    assert (most.examples[0].path, most.examples[0].message) == ("05.wav", "message 5")
    assert (some.kind, some.n) == ("empty", 5)
    assert unknown.advice


def test_each_kind_has_a_meaning_and_advice() -> None:
    assert set(_KINDS) == CONTENT_KINDS | ENVIRONMENT_KINDS

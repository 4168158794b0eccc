"""Failures as a page shows them."""

from __future__ import annotations

import pandas as pd

from jobs.errors import CONTENT_KINDS, ENVIRONMENT_KINDS
from jobs.report.failures import _KINDS, N_EXAMPLES, failures_of


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

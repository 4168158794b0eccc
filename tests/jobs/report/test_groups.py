"""Labels as groups for charts."""

from __future__ import annotations

import numpy as np
import pandas as pd

from jobs.report.groups import group_labels


def labels(**counts: int) -> pd.Series:
    return pd.Series([name for name, n in counts.items() for _ in range(n)], dtype="category")


def test_the_largest_come_first_and_the_rest_is_one_group() -> None:
    groups = group_labels(labels(a=1, b=3, c=2, d=1), n=2)
    assert groups.names == ["b", "c", "(2 other labels)"]
    assert groups.codes.tolist() == [2, 0, 0, 0, 1, 1, 2]
    assert (groups.n_labels, groups.n_others) == (2, 2)
    assert "2 largest" in groups.note


def test_one_label_more_is_no_group_of_others() -> None:
    groups = group_labels(labels(a=1, b=1, c=1), n=2)
    assert groups.names == ["a", "b", "c"]
    assert groups.note == ""


def test_tracks_without_label_are_the_last_group() -> None:
    groups = group_labels(pd.Series(["b", None, "a"], dtype="category"))
    assert groups.names == ["a", "b", "(no label)"]
    assert groups.codes.tolist() == [1, 2, 0]


def test_a_label_with_the_name_of_a_group_stays_apart() -> None:
    groups = group_labels(pd.Series(["(no label)", None]))
    assert groups.names == ["(no label)", "((no label))"]
    assert groups.codes.tolist() == [0, 1]


def test_some_of_the_tracks_have_the_same_groups() -> None:
    groups = group_labels(pd.Series(["b", "a", "b", "c"]))
    some = groups.take(np.array([1, 3]))
    assert some.names == groups.names == ["b", "a", "c"]
    assert some.codes.tolist() == [1, 2]


def test_no_tracks() -> None:
    groups = group_labels(pd.Series([], dtype="category"))
    assert groups.names == []
    assert len(groups.codes) == 0

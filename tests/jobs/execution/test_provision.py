"""When a run tells how many workers it has."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.diagnostics.events import Workers
from jobs.execution.provision import WorkerCount


def told(looks: list[tuple[float, int, int]]) -> list[tuple[float, int, int]]:
    """Return when which numbers are told, if they are looked at as given."""
    found: list[tuple[float, int, int]] = []
    now = 0.0
    count = WorkerCount(lambda event: found.append((now, event.n_workers, event.n_wanted)))
    for now, n_workers, n_wanted in looks:
        count.look(n_workers, n_wanted, now)
    return found


def test_all_workers_are_told_at_once() -> None:
    assert told([(0, 2, 2), (1, 2, 2)]) == [(0, 2, 2)]


def test_a_worker_that_is_away_for_a_moment_is_not_told() -> None:
    assert told([(0, 2, 2), (1, 1, 2), (4, 1, 2), (5, 2, 2), (20, 2, 2)]) == [(0, 2, 2)]


def test_a_worker_that_stays_away_is_told_and_its_return_too() -> None:
    looks = [(0, 2, 2), (1, 1, 2), (5, 1, 2), (6, 1, 2), (8, 2, 2)]
    assert told(looks) == [(0, 2, 2), (6, 1, 2), (8, 2, 2)]


def test_a_cluster_that_starts_empty_tells_so() -> None:
    assert told([(0, 0, 9), (4, 0, 9), (5, 0, 9), (6, 0, 9)]) == [(5, 0, 9)]


@pytest.mark.parametrize("n_wanted", [0, 1000])
def test_a_thousand_workers_that_come_one_by_one(n_wanted: int) -> None:
    found = told([(second, second, n_wanted) for second in range(1001)])
    assert len(found) < 25
    assert found[-1][1] == 1000 or n_wanted == 0


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=60))
def test_the_last_number_told_is_right_in_the_end(numbers: list[tuple[int, int]]) -> None:
    last: list[Workers] = []
    count = WorkerCount(last.append)
    for now, (n_workers, n_wanted) in enumerate(numbers):
        count.look(n_workers, n_wanted, now)
    n_workers, n_wanted = numbers[-1] if numbers else (0, 0)
    for now in range(len(numbers), len(numbers) + 61):
        count.look(n_workers, n_wanted, now)
    assert (last[-1].n_workers, last[-1].n_wanted) == (n_workers, max(n_workers, n_wanted))
    assert all(one != other for one, other in itertools.pairwise(last))

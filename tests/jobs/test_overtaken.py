"""A driver that loses its lock says so, whatever step it is at."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from jobs.errors import EXIT_BUSY, TableBusyError
from jobs.request import RunRequest
from tests.support import driver
from tests.support.moments import MOMENTS, at
from tests.support.quick import slow_but_every
from tests.support.tables import assert_same_table, assert_tidy, write_files

FIRST = {"rock/a.wav": "play a", "jazz/b.wav": "bad b", "jazz/c.wav": "bad c"}
NEXT = {"rock/a.wav": "play anew", "jazz/c.wav": "play c", "jazz/d.wav": "play d"}


@pytest.fixture
def request_of(tmp_path: Path) -> Callable[[], RunRequest]:
    """Give a function that returns the request for a table whose corpus has changed."""
    corpus, table = write_files(tmp_path / "corpus", FIRST), tmp_path / "table"
    values = {"labels": "parent", "buckets": 2, "max_deleted": 1.0}
    driver.run_inline(driver.request_for(corpus, table, **values))
    write_files(corpus, NEXT)
    return lambda: driver.request_for(corpus, table, **values)


@pytest.mark.parametrize("step", slow_but_every(3, MOMENTS))
def test_overtaken_in_a_folder(
    step: str, request_of: Callable[[], RunRequest], tmp_path: Path
) -> None:
    def overtake() -> None:
        (tmp_path / "table" / "_job" / "lock").unlink()  # two drivers hold "the" lock now
        driver.run_inline(request_of())

    with pytest.raises(TableBusyError, match=r"the lock of .*/table was deleted") as caught:
        driver.run_inline(request_of(), at(step, overtake))
    assert caught.value.exit_code == EXIT_BUSY
    undisturbed = driver.request_for(
        tmp_path / "corpus", tmp_path / "t2", labels="parent", buckets=2
    )
    driver.run_inline(undisturbed)
    driver.run_inline(request_of())
    assert_same_table(tmp_path / "table", tmp_path / "t2")
    assert_tidy(tmp_path / "table")


def test_a_table_that_is_deleted_under_a_run(
    request_of: Callable[[], RunRequest], tmp_path: Path
) -> None:
    with pytest.raises(TableBusyError, match="was deleted while this run held it"):
        driver.run_inline(request_of(), at("merge", lambda: shutil.rmtree(tmp_path / "table")))

"""Copies of a bucket's table, to the bucket and to a folder."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest

from jobs import repartition_table
from jobs.diagnostics.events import ignore
from jobs.table.changes import Change
from tests.jobs.s3.place import N_FILES_NEXT, Prepared, storage_options
from tests.support import driver
from tests.support.moments import at
from tests.support.tables import assert_same_table

pytestmark = pytest.mark.usefixtures("clock_of_leases")


def copy(table: str, new: str, options: list[str], killed_at: int = 0) -> Any:
    observer = at("part written", driver.kill_self, killed_at) if killed_at else ignore
    return repartition_table(table, new, buckets=5, observer=observer, storage_options=options)


@pytest.mark.slow
def test_a_copy_in_the_bucket_and_one_in_a_folder(changed: Prepared) -> None:
    place = changed.place
    driver.run_inline(place.request())
    options, here = storage_options(place.s3), f"s3://{place.bucket}"
    line = (f"{here}/table", f"{here}/copy", options)
    assert driver.exit_code_of(copy, *line, 3) == -signal.SIGKILL
    done = copy(*line)
    assert done.n_files + done.n_errors == N_FILES_NEXT
    place.assert_same_as("table", "copy")
    report = driver.run_inline(place.request("copy", buckets=None))
    assert report.counts == {Change.UNCHANGED: N_FILES_NEXT}
    folder = os.fspath(place.folder / "local")
    repartition_table(f"{here}/copy", folder, storage_options=options)
    assert_same_table(folder, place.downloaded("table"))

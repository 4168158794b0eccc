"""Looking at a table without running the job."""

from __future__ import annotations

import errno
import io
import json
import os
import re
import shutil
import signal
import threading
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from jobs.diagnostics.events import Event, StepEnded
from jobs.errors import TableBusyError, TableError
from jobs.status import error_rows, table_status
from jobs.storage.local import LocalStore
from jobs.storage.parquet import read_parquet
from tests.conftest import S3
from tests.support import driver
from tests.support.light import digest, run, write
from tests.support.tables import write_files


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("rock/a.wav", "rock/b.wav", "01/c.wav", "d.wav"):
        write(tmp_path / "music" / name)
    write(tmp_path / "music" / "rock" / "broken.wav", "bad")
    monkeypatch.chdir(tmp_path)
    run("music", "t", labels="parent")
    monkeypatch.chdir("/")
    return tmp_path / "t"


def test_what_a_table_holds(table: Path) -> None:
    before = digest(table)
    status = table_status(str(table), {})
    assert (status.n_rows, status.n_parts, status.n_buckets) == (4, 4, 1)
    assert status.errors == {"undecodable": 1}
    assert status.labels == {"rock": 2, "01": 1, None: 1}
    assert status.corpus == str(table.parent / "music")
    assert [run["report"]["status"] for run in status.runs] == ["done"]
    assert digest(table) == before  # looking changes nothing
    json.dumps(status.to_dict())


def test_what_a_rerun_would_do_from_any_folder(table: Path) -> None:
    music = table.parent / "music"
    write(music / "rock" / "new.wav")
    write(music / "rock" / "a.wav", "changed")
    (music / "d.wav").unlink()
    rerun = {name: n for name, n in table_status(str(table), {}).rerun.items() if n}
    assert rerun == {"new": 1, "changed": 1, "deleted": 1, "unchanged": 3}


def test_a_rerun_that_cannot_be_planned(table: Path) -> None:
    (table.parent / "music").rename(table.parent / "elsewhere")
    status = table_status(str(table), {})
    assert "there is no folder" in status.rerun_problem
    assert any("cannot be planned: there is no folder" in line for line in status.lines())
    assert status.n_rows == 4


def test_parts_are_read_in_the_calling_thread(table: Path) -> None:
    """A thread of PyArrow's with a Python file in hand aborts a process that ends meanwhile."""
    threads: set[int] = set()

    class Watched(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            threads.add(threading.get_ident())
            return super().read(size)

    [part] = (table / "features" / "by_label=rock").iterdir()
    rows = read_parquet(Watched(part.read_bytes()), ["path", "label"])
    assert rows["path"].to_pylist() == ["rock/a.wav", "rock/b.wav"]
    assert threads == {threading.get_ident()}


def test_error_rows(table: Path) -> None:
    [row] = error_rows(str(table), {}).to_pylist()
    assert row["path"] == "rock/broken.wav"
    assert (row["error_kind"], row["error_class"]) == ("undecodable", "content")
    assert (row["message"], row["label"]) == ("bad content: bad", "rock")
    (table.parent / "music" / "rock" / "broken.wav").unlink()
    run(table.parent / "music", table, labels="parent", max_deleted=1.0)
    assert len(error_rows(str(table), {})) == 0


def test_errors_can_be_read_before_there_is_any(tmp_path: Path) -> None:
    write(tmp_path / "music" / "a.wav")
    run(tmp_path / "music", tmp_path / "t")
    errors = pd.read_parquet(tmp_path / "t" / "errors")
    assert (len(errors), "error_kind" in errors) == (0, True)
    report = run(tmp_path / "music", tmp_path / "t")
    assert report.parts_written == 0


def test_the_last_runs_are_shown(table: Path) -> None:
    for _ in range(6):
        run(table.parent / "music", table, labels="parent")
    lines = table_status(str(table), {}).lines()
    assert "runs     7" in lines
    assert len([line for line in lines if "files read" in line]) == 5


def interrupt(event: Event) -> None:
    if isinstance(event, StepEnded) and event.step == "extract":
        raise KeyboardInterrupt


def last_run(table: Path) -> tuple[str, str, int]:
    """Return what text and JSON say about the last run, and the number of waiting files."""
    status = table_status(str(table), {})
    lines = status.lines()
    [line] = [line for line in lines if status.runs[-1]["run_id"] in line]
    waiting = [line for line in lines if "finished but not published" in line]
    assert len(waiting) == (status.n_waiting > 0)
    expected = (
        f"         {status.n_waiting} of them are finished but not published; the next run"
        " publishes them without reading them again"
    )
    assert waiting in ([], [expected])
    found = status.to_dict()
    return line.split(maxsplit=1)[1], found["runs"][-1]["report"]["status"], found["n_waiting"]


def test_after_ctrl_c(tmp_path: Path) -> None:
    """Also in the first run of a table, which has no part yet."""
    for name in "abc":
        write(tmp_path / "music" / f"{name}.wav")
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "music", tmp_path / "t", observer=interrupt)
    line, in_json, n_waiting = last_run(tmp_path / "t")
    assert re.fullmatch(r"interrupted, 3 files read, \d+\.\d s", line)
    assert (in_json, n_waiting) == ("interrupted", 3)
    run(tmp_path / "music", tmp_path / "t")
    line, in_json, n_waiting = last_run(tmp_path / "t")
    assert (in_json, n_waiting) == ("done", 0)


@pytest.mark.parametrize("moment", ["list", "merge"])
def test_after_a_driver_died(moment: str, tmp_path: Path) -> None:
    corpus = write_files(tmp_path / "music", {"a.wav": "play a", "b.wav": "play b"})
    table = tmp_path / "t"
    driver.run_inline(driver.request_for(corpus, table))
    write_files(corpus, {"b.wav": "play anew", "c.wav": "play c"})
    request = driver.request_for(corpus, table)
    assert driver.exit_code_of(driver.run_killed_at_step, request, 1, moment) == -signal.SIGKILL
    expected = ("killed", "killed", {"list": 0, "merge": 2}[moment])
    assert last_run(table) == expected


def test_after_a_disk_was_full(table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The driver could not even write how it ended."""
    write(table.parent / "music" / "new.wav")

    def full(*arguments: Any, **options: Any) -> str:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def fill(event: Event) -> None:
        if isinstance(event, StepEnded) and event.step == "extract":
            monkeypatch.setattr(LocalStore, "replace", full)

    with pytest.raises(TableError, match="No space left on device"):
        run(table.parent / "music", table, labels="parent", observer=fill)
    monkeypatch.undo()
    assert last_run(table) == ("killed", "killed", 1)


def test_a_run_that_goes_on(table: Path) -> None:
    seen = []

    def look(event: Event) -> None:
        if isinstance(event, StepEnded) and event.step == "extract":
            seen.append(last_run(table))
            with pytest.raises(TableBusyError):  # the look has not taken the lock away
                run(table.parent / "music", table, labels="parent")

    write(table.parent / "music" / "new.wav")
    run(table.parent / "music", table, labels="parent", observer=look)
    assert seen == [("running", "running", 1)]


def test_where_there_is_no_table(table: Path, tmp_path: Path) -> None:
    with pytest.raises(TableError, match=r"there is no table at .*none: make one with"):
        table_status(str(tmp_path / "none"), {})
    with pytest.raises(TableError, match=r"holds other files"):
        table_status(str(tmp_path / "music"), {})
    with pytest.raises(TableError, match=r"is a file"):
        table_status(str(write(tmp_path / "file")), {})
    assert not (tmp_path / "none").exists()


def test_of_a_thousand_old_runs_only_the_last_are_read(
    table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [own] = (table / "_job" / "runs").iterdir()
    for i in range(1000):
        old = table / "_job" / "runs" / f"20200101T000000.{i:03d}Z-000000"
        shutil.copytree(own, old)
        summary = json.loads((old / "run.json").read_text()) | {"run_id": old.name}
        (old / "run.json").write_text(json.dumps(summary))
    (old / "run.json").write_text("cut")  # is left out, and the one before is shown
    read: list[str] = []
    reading = LocalStore.read

    def noted(self: LocalStore, name: str) -> tuple[bytes, str]:
        read.append(name)
        return reading(self, name)

    monkeypatch.setattr(LocalStore, "read", noted)
    status = table_status(str(table), {})
    shown = [f"20200101T000000.{i:03d}Z-000000" for i in (995, 996, 997, 998)]
    assert [run["run_id"] for run in status.runs] == [*shown, own.name]
    assert status.n_runs == 1001
    assert len([name for name in read if name.endswith("run.json")]) == 6


def test_rows_that_a_killed_run_has_left_twice(table: Path) -> None:
    part = next((table / "features" / "by_label=rock").iterdir())
    (table / "features" / "by_label=jazz").mkdir()
    shutil.copy(part, table / "features" / "by_label=jazz" / part.name)
    status = table_status(str(table), {})
    assert status.n_surplus == 2
    assert any("2 entries are in the table twice" in line for line in status.lines())
    report = run(table.parent / "music", table, labels="parent")
    assert "Done: 2 repeated entries removed" in report.summary_lines()
    assert table_status(str(table), {}).n_surplus == 0


def test_options_of_the_corpus_alone(s3: S3, tmp_path: Path) -> None:
    bucket = s3.bucket()
    s3.client.put_object(Bucket=bucket, Key="music/a.wav", Body=b"x")
    options = s3.storage_options
    wanted = {"corpus": options}
    run(f"s3://{bucket}/music", tmp_path / "t", storage_options=tuple(_texts(wanted)))
    assert table_status(str(tmp_path / "t"), {}, options).rerun["unchanged"] == 1
    assert table_status(str(tmp_path / "t"), {}).rerun_problem


def _texts(sides: dict[str, dict[str, Any]]) -> list[str]:
    return [
        f"{side}:{key}={value if isinstance(value, str) else json.dumps(value)}"
        for side, options in sides.items()
        for key, value in options.items()
    ]

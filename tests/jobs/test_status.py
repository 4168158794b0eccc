"""Looking at a table without running the job."""

from __future__ import annotations

import io
import json
import shutil
import threading
from pathlib import Path

import pandas as pd
import pytest

from jobs.errors import TableError
from jobs.status import error_rows, table_status
from jobs.storage.local import LocalStore
from jobs.storage.parquet import read_parquet
from tests.support.light import digest, run, write


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

"""Records of runs, and which of them the step `clean` deletes."""

from __future__ import annotations

import datetime
import json
import os
import signal
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.diagnostics.events import Event, StepEnded
from jobs.storage.local import LocalStore
from jobs.storage.opening import open_store
from jobs.table.history import delete_old_runs, new_run_id, run_ids, time_of, write_summary
from tests.conftest import S3
from tests.support import driver
from tests.support.light import run, write
from tests.support.tables import write_files


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    for name in "ab":
        write(tmp_path / "corpus" / f"{name}.wav")
    return tmp_path / "corpus"


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return tmp_path / "table"


def folders(table: Path) -> list[str]:
    return sorted(path.name for path in (table / "_job" / "runs").iterdir())


def make_older(table: Path, run_id: str, days: float) -> str:
    """Rename a run as if it had begun earlier; return its new name."""
    began = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=days)
    name = f"{began:%Y%m%dT%H%M%S}.000Z-{run_id[-6:]}"
    folder = (table / "_job" / "runs" / run_id).rename(table / "_job" / "runs" / name)
    summary = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps(summary | {"run_id": name}))
    return name


def test_the_time_in_a_name() -> None:
    now = datetime.datetime.now(datetime.UTC)
    began = time_of(new_run_id())
    assert began is not None
    assert abs(began - now) < datetime.timedelta(seconds=10)
    assert time_of("notes") is None


def test_only_the_last_runs_are_kept(corpus: Path, table: Path) -> None:
    names = [run(corpus, table).run_id for _ in range(4)]
    assert folders(table) == names
    names.append(run(corpus, table, keep_runs=2).run_id)
    assert folders(table) == run_ids(open_store(str(table))) == names[-2:]


def test_runs_that_are_too_old(corpus: Path, table: Path) -> None:
    for days in (400, 364):
        make_older(table, run(corpus, table).run_id, days)
    [_, younger] = folders(table)
    last = run(corpus, table)
    assert folders(table) == [younger, last.run_id]
    assert last.notes == []
    another = run(corpus, table, keep_runs_days=1.0)
    assert folders(table) == [last.run_id, another.run_id]


def test_a_run_that_does_not_publish_deletes_nothing(corpus: Path, table: Path) -> None:
    run(corpus, table)
    (corpus / "a.wav").unlink()
    assert run(corpus, table, keep_runs=1).status == "held"
    assert len(folders(table)) == 2


def test_files_that_are_no_records_stay(corpus: Path, table: Path) -> None:
    folder = table / "_job" / "runs" / run(corpus, table).run_id
    note = write(folder / "why.txt", "the disk was full")
    for _ in range(3):
        run(corpus, table, keep_runs=1)
    assert note.exists()


@pytest.mark.slow
def test_what_a_killed_run_has_finished_stays(corpus: Path, table: Path) -> None:
    """Its files are not in the listing of the runs after it."""
    write_files(corpus, {"a.wav": "play a", "b.wav": "play b"})
    killed = driver.request_for(corpus, table, include=["a.wav"])
    code = driver.exit_code_of(driver.run_killed_at_step, killed, 1, "merge")
    assert code == -signal.SIGKILL
    [run_id] = folders(table)
    for _ in range(3):
        driver.run_inline(driver.request_for(corpus, table, include=["b.wav"], keep_runs=1))
    assert folders(table)[0] == run_id
    report = driver.run_inline(driver.request_for(corpus, table, keep_runs=1))
    assert (report.n_reused, report.n_read) == (1, 1)


def test_a_recomputing_run_takes_nothing_from_before_the_last_completed_one(
    corpus: Path, table: Path
) -> None:
    """Though a run in between was killed after it had deleted old records."""
    write_files(corpus, {"a.wav": "play a", "b.wav": "play b"})
    driver.run_inline(driver.request_for(corpus, table))
    killed = driver.request_for(corpus, table, include=["a.wav"], recompute=True)
    assert driver.exit_code_of(driver.run_killed_at_step, killed, 1, "merge") == -signal.SIGKILL
    for _ in range(2):
        driver.run_inline(driver.request_for(corpus, table, include=["b.wav"]))

    def die(event: Event) -> None:
        if isinstance(event, StepEnded) and event.step == "clean":
            raise SystemExit

    with pytest.raises(SystemExit):
        driver.run_inline(driver.request_for(corpus, table, include=["b.wav"], keep_runs=1), die)
    last_done = json.loads((table / "_job" / "runs" / folders(table)[1] / "run.json").read_text())
    assert last_done["report"]["status"] == "done"
    assert len(folders(table)) == 3
    report = driver.run_inline(driver.request_for(corpus, table, recompute=True))
    assert (report.n_reused, report.n_read) == (0, 2)


def test_records_that_cannot_be_deleted(
    corpus: Path, table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run(corpus, table)
    run(corpus, table)
    deleting = LocalStore.delete

    def refuse(self: LocalStore, names: list[str]) -> None:
        if any(name.endswith("run.json") for name in names):
            raise PermissionError(1, os.strerror(1))
        deleting(self, names)

    monkeypatch.setattr(LocalStore, "delete", refuse)
    report = run(corpus, table, keep_runs=1)
    assert report.status == "done"
    assert report.notes == ["records of old runs cannot be deleted: Operation not permitted"]
    monkeypatch.undo()
    run(corpus, table, keep_runs=1)
    assert first.run_id not in folders(table)


@pytest.mark.slow
def test_on_s3(s3: S3, corpus: Path) -> None:
    table, options = f"s3://{s3.bucket()}/t", s3.storage_options
    texts = [f"table:{k}={json.dumps(v) if isinstance(v, dict) else v}" for k, v in options.items()]
    ids = [run(corpus, table, storage_options=texts).run_id for _ in range(3)]
    ids.append(run(corpus, table, storage_options=texts, keep_runs=2).run_id)
    store = open_store(table, options)
    assert run_ids(store) == ids[-2:]
    names = [entry.name for page in store.scan("_job/runs") for entry in page]
    assert {name.split("/")[2] for name in names} == set(ids[-2:])


@given(
    st.lists(st.tuples(st.sampled_from(["done", "failed", "running"]), st.booleans()), max_size=8),
    st.integers(1, 10),
)
def test_which_runs_are_kept(runs: list[tuple[str, bool]], keep_runs: int) -> None:
    """The own run, the youngest ones, those with staged files, and the last completed one."""
    with tempfile.TemporaryDirectory() as folder:
        store = open_store(folder)
        ids = [f"20260101T0000{i:02}.000Z-aaaaaa" for i in range(len(runs) + 1)]
        for run_id, (status, is_staging) in zip(ids, [*runs, ("running", False)], strict=True):
            write_summary(store, run_id, (), report={"status": status})
            if is_staging:
                write(Path(folder, "_job/runs", run_id, "staged/b00000-0.parquet"))
        delete_old_runs(store, ids[-1], keep_runs, 1e9)
        done = [run_id for run_id, (status, _) in zip(ids, runs, strict=False) if status == "done"]
        kept = {*ids[-keep_runs:], *done[-1:]}
        kept |= {run_id for run_id, (_, staging) in zip(ids, runs, strict=False) if staging}
        assert set(run_ids(store)) == kept
        assert set(folders(Path(folder))) == kept

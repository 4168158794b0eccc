"""Copies of tables with other hash buckets or partitions."""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from jobs import repartition_table
from jobs.diagnostics.events import PartWritten
from jobs.errors import EXIT_BUSY, JobError, TableBusyError, TableError, UsageError
from jobs.repartition import repartition
from jobs.status import table_status
from jobs.storage.opening import open_store
from jobs.table.changes import Change
from jobs.table.layout import REPARTITION_JSON, TABLE_JSON
from jobs.table.lock import write_lock
from tests.support import driver, light
from tests.support.moments import at
from tests.support.quick import slow_but
from tests.support.tables import assert_same_table, assert_tidy, write_files

FILES = {
    f"{label}/{n}.wav": f"play {label} {n}" if n % 5 else "bad"
    for label in ("pop", "Rock", "01", "drum & bass")
    for n in range(12)
} | {"top.wav": "play top", "top two.wav": "play two"}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder with a corpus and its table of three buckets; to be copied, not changed."""
    folder = tmp_path_factory.mktemp("made")
    write_files(folder / "corpus", FILES)
    run(folder / "corpus", folder / "table", buckets=3)
    return folder


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Give such a folder, to be changed."""
    write_files(tmp_path / "place" / "corpus", FILES)
    run(tmp_path / "place" / "corpus", tmp_path / "place" / "table", buckets=3)
    return tmp_path / "place"


def run(corpus: Path, table: Path, **settings: Any) -> Any:
    settings = {"labels": "parent", "max_deleted": 1.0, "reader_grace_s": 0.0} | settings
    return driver.run_inline(driver.request_for(corpus, table, **settings))


def assert_up_to_date(corpus: Path, table: Path, **settings: Any) -> None:
    report = run(corpus, table, **settings)
    assert report.counts == {Change.UNCHANGED: len(FILES)}
    assert (report.n_read, report.parts_written) == (0, 0)


@pytest.mark.parametrize("buckets", [7, *slow_but([1], [1, 2, 3, 30, 64, None])])
def test_a_copy_is_the_table(made: Path, tmp_path: Path, buckets: int | None) -> None:
    new = tmp_path / "new"
    done = repartition_table(made / "table", new, buckets=buckets)
    assert (done.n_files + done.n_errors, done.n_buckets) == (len(FILES), buckets or 1)
    assert_same_table(new, made / "table")
    assert_tidy(new)
    fresh = tmp_path / "fresh"
    run(made / "corpus", fresh, buckets=done.n_buckets)
    assert parts_of(new) == parts_of(fresh)
    for part in parts_of(new):
        ours, theirs = pq.ParquetFile(new / part), pq.ParquetFile(fresh / part)
        assert ours.schema_arrow.metadata == theirs.schema_arrow.metadata
        assert ours.read(["path"]) == theirs.read(["path"])
    assert_up_to_date(made / "corpus", new)


def parts_of(table: Path) -> list[str]:
    return sorted(str(path.relative_to(table)) for path in table.rglob("*.parquet"))


def test_other_partitions_and_back(made: Path, tmp_path: Path) -> None:
    table, flat, again = made / "table", tmp_path / "flat", tmp_path / "again"
    done = repartition(str(table), str(flat), partition_by="none")
    assert "--partition-by none" in done.lines()[-1]
    assert parts_of(flat) == ["errors/part-00000.parquet", "features/part-00000.parquet"]
    assert_same_table(flat, table)
    assert_up_to_date(made / "corpus", flat, partition_by="none")
    done = repartition(str(flat), str(again), partition_by="label", buckets=3)
    assert "--partition-by" not in done.lines()[-1]
    assert parts_of(again) == parts_of(table)
    assert_same_table(again, table)
    assert_up_to_date(made / "corpus", again)


def test_what_the_copy_says_of_itself(made: Path, tmp_path: Path) -> None:
    new = tmp_path / "new"
    done = repartition(str(made / "table"), str(new), buckets=2)
    before, after = (json.loads((t / TABLE_JSON).read_text()) for t in (made / "table", new))
    assert before | {"n_buckets": 2} == after
    status = table_status(str(new), {})
    assert (status.n_files, sum(status.errors.values())) == (done.n_files, done.n_errors)
    assert status.rerun["unchanged"] == len(FILES)
    [summary] = status.runs
    assert summary["report"] == done.to_dict()
    [log] = (new / "_job" / "runs").glob("*/log.jsonl")
    assert json.loads(log.read_text())["source"] == str(made / "table")


@pytest.mark.slow
def test_segments_and_tables_without_errors(tmp_path: Path) -> None:
    write_files(tmp_path / "corpus", {f"{n}.wav": f"play {n}" for n in range(30)})
    run(tmp_path / "corpus", tmp_path / "table", labels="none", buckets=2)
    done = repartition(str(tmp_path / "table"), str(tmp_path / "new"), buckets=5)
    assert done.n_rows > done.n_files == 30
    assert_same_table(tmp_path / "new", tmp_path / "table")
    assert "errors/part-00000.parquet" in parts_of(tmp_path / "new")


def killed_at(table: Path, new: Path, n: int) -> None:
    repartition(str(table), str(new), buckets=7, observer=at("part written", driver.kill_self, n))


def killed_at_write(table: Path, new: Path, n: int) -> None:
    driver.kill_at_write(new, n)
    repartition(str(table), str(new), buckets=2)


@pytest.mark.parametrize("n", slow_but([9], [1, 9, 24]))
def test_killed_at_a_part_and_run_again(made: Path, tmp_path: Path, n: int) -> None:
    new = tmp_path / "new"
    code = driver.exit_code_of(killed_at, made / "table", new, n)
    assert code == -signal.SIGKILL
    with pytest.raises(TableError, match="unfinished copy of a table: run featurelib repartition"):
        run(made / "corpus", new)
    written: list[str] = []
    repartition(str(made / "table"), str(new), buckets=7, observer=names_of_parts(written))
    assert_same_table(new, made / "table")
    assert_tidy(new)
    assert len(written) < len(parts_of(new)) or n == 1  # it has gone on
    assert_up_to_date(made / "corpus", new)


def names_of_parts(written: list[str]) -> Any:
    def notify(event: object) -> None:
        if isinstance(event, PartWritten):
            written.append(event.part)

    return notify


@pytest.mark.slow
def test_killed_before_every_write(made: Path, tmp_path: Path) -> None:
    n, code = 0, -signal.SIGKILL
    while code == -signal.SIGKILL:
        n += 1
        new = tmp_path / f"new {n}"
        code = driver.exit_code_of(killed_at_write, made / "table", new, n)
        if code == 0:
            break
        assert code == -signal.SIGKILL
        repartition(str(made / "table"), str(new), buckets=2)
        assert_same_table(new, made / "table")
        assert_tidy(new)
        assert not (new / REPARTITION_JSON).exists()
        shutil.rmtree(new)
    assert n > 12


@pytest.mark.slow
@pytest.mark.parametrize("n", [1, 2, 3, 4, 5])
def test_killed_while_another_copy_is_deleted(made: Path, tmp_path: Path, n: int) -> None:
    new = tmp_path / "new"
    assert driver.exit_code_of(killed_at, made / "table", new, 9) == -signal.SIGKILL
    assert driver.exit_code_of(killed_at_write, made / "table", new, n) == -signal.SIGKILL
    repartition(str(made / "table"), str(new), buckets=7)
    assert_same_table(new, made / "table")
    assert_tidy(new)


def test_a_copy_without_a_part_is_no_place_for_a_new_table(made: Path, tmp_path: Path) -> None:
    (tmp_path / "new" / "_job").mkdir(parents=True)
    (tmp_path / "new" / REPARTITION_JSON).write_text(json.dumps({"source": str(made / "table")}))
    with pytest.raises(TableError, match="unfinished copy of a table"):
        run(made / "corpus", tmp_path / "new")
    repartition(str(made / "table"), str(tmp_path / "new"))
    assert_same_table(tmp_path / "new", made / "table")


@pytest.mark.slow
def test_a_complete_copy_whose_driver_died_before_it_said_so(made: Path, tmp_path: Path) -> None:
    new = tmp_path / "new"
    repartition(str(made / "table"), str(new), buckets=7)
    begun = json.dumps({"source": str(made / "table")})
    (new / REPARTITION_JSON).write_text(begun)
    with pytest.raises(UsageError, match="a complete copy already, of 7 buckets"):
        repartition(str(made / "table"), str(new), buckets=2)
    (new / REPARTITION_JSON).write_text(begun)
    assert repartition(str(made / "table"), str(new)).n_buckets == 7
    assert not (new / REPARTITION_JSON).exists()


def test_a_table_that_changed_meanwhile_is_copied_again(place: Path, tmp_path: Path) -> None:
    table, new = place / "table", tmp_path / "new"

    def change() -> None:
        (place / "corpus/pop/1.wav").write_text("play otherwise")
        run(place / "corpus", table)

    with pytest.raises(TableBusyError, match="changed by a run while it was copied") as caught:
        repartition(str(table), str(new), buckets=7, observer=at("part written", change, 9))
    assert caught.value.exit_code == EXIT_BUSY
    assert not (new / TABLE_JSON).exists()
    repartition(str(table), str(new), buckets=5)
    assert_same_table(new, table)
    assert_up_to_date(place / "corpus", new)


def test_a_table_that_is_being_written_is_refused(place: Path, tmp_path: Path) -> None:
    store = open_store(str(place / "table"))
    with write_lock(store, "other"), pytest.raises(TableBusyError, match="written by run other"):
        repartition(str(place / "table"), str(tmp_path / "new"))
    assert not (tmp_path / "new").exists()


def test_a_file_that_is_twice_in_the_table(place: Path, tmp_path: Path) -> None:
    """A run that moved it was killed in between."""
    [one] = (place / "table/features").glob("by_label=pop/part-00000.parquet")
    rows = pq.read_table(one, partitioning=None)
    (place / "table/features/by_label=x").mkdir()
    pq.write_table(rows, place / "table/features/by_label=x/part-00000.parquet")
    with pytest.raises(TableError, match="twice, since a run was interrupted: run"):
        repartition(str(place / "table"), str(tmp_path / "new"))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda place: place / "table", "overlap"),
        (lambda place: place / "table" / "inside", "overlap"),
        (lambda place: place / "corpus" / "inside", "overlap"),
        (lambda place: copied(place), "is a table already"),
        (lambda place: other_files(place), "holds other files"),
        (lambda place: place / "new.csv", "a table is a folder"),
        (lambda place: unfinished(place), "is an unfinished copy of /elsewhere"),
    ],
)
def test_places_that_are_refused(made: Path, tmp_path: Path, make: Any, message: str) -> None:
    (tmp_path / "corpus").symlink_to(made / "corpus")
    (tmp_path / "table").symlink_to(made / "table")
    with pytest.raises(JobError, match=message):
        repartition(str(made / "table"), str(make(tmp_path)))


def copied(place: Path) -> Path:
    shutil.copytree(place / "table", place / "copy")
    return place / "copy"


def other_files(place: Path) -> Path:
    (place / "other").mkdir()
    (place / "other" / "thesis.txt").write_text("mine")
    return place / "other"


def unfinished(place: Path) -> Path:
    (place / "unfinished" / "_job").mkdir(parents=True)
    (place / "unfinished" / REPARTITION_JSON).write_text('{"source": "/elsewhere"}')
    return place / "unfinished"


def test_what_is_no_table_of_features(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="there is no table"):
        repartition(str(tmp_path / "none"), str(tmp_path / "new"))
    write_files(tmp_path / "corpus", {"a.wav": "play"})
    run(tmp_path / "corpus", tmp_path / "table", labels="none")
    with pytest.raises(UsageError, match="'artist': give label or none"):
        repartition(str(tmp_path / "table"), str(tmp_path / "new"), partition_by="artist")
    with pytest.raises(UsageError, match="no labels"):
        repartition(str(tmp_path / "table"), str(tmp_path / "new"), partition_by="label")
    assert not (tmp_path / "new").exists()


@pytest.mark.slow
def test_the_command(made: Path, tmp_path: Path) -> None:
    new = tmp_path / "new"
    done = light.command("repartition", str(made / "table"), str(new), "--buckets", "4")
    assert (done.returncode, "buckets: 4, not 3" in done.stdout) == (0, True), done.stderr
    done = light.command("repartition", str(made / "table"), str(new), "--json")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "is a table already" in done.stderr

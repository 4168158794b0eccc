"""What one task does with the files of its shard, and what native libraries say meanwhile."""

from __future__ import annotations

import dataclasses
import errno
import gc
import os
import threading
import weakref
from pathlib import Path
from types import SimpleNamespace

import pytest
from fsspec.implementations.memory import MemoryFileSystem

import featurelib
import featurelib.spill
from jobs.errors import ClusterError
from jobs.execution.attempt import Attempt
from jobs.execution.context import TaskContext
from jobs.execution.native import captured_output
from jobs.execution.results import ShardResult
from jobs.execution.sharding import Shard
from jobs.execution.task import extract_shard, prepare
from jobs.execution.version import code_version
from jobs.storage.base import Fetched
from jobs.storage.local import LocalStore
from jobs.storage.opening import open_store
from jobs.table.schema import staged_schema
from jobs.table.staging import StagingWriter, open_staged, outcome_rows
from tests.featurelib.support.signals import chord, encode
from tests.support import doubles, driver
from tests.support.doubles import Gate
from tests.support.light import run
from tests.support.tables import log_of, write_files


def a_job(corpus: str, tmp_path: Path) -> TaskContext:
    table, spec = str(tmp_path / "table"), doubles.SPEC.to_dict()
    job = TaskContext("run", corpus, table, spec, code_version(), doubles.ORIGIN)
    return dataclasses.replace(job, extractor=doubles.by_content)


def extract(tmp_path: Path, files: dict[str, str], **values: object) -> tuple[ShardResult, list]:
    """Extract files as one shard; return its result, and the rows of its staged file."""
    corpus = write_files(tmp_path / "corpus", files)
    job = dataclasses.replace(a_job(str(corpus), tmp_path), **values)
    sizes = tuple((corpus / name).stat().st_size for name in files)
    result = extract_shard(job, Shard(0, tuple((name, "listed") for name in files), sizes))
    [fragment] = result.staged
    schema = staged_schema(featurelib.schema(doubles.SPEC))
    with (tmp_path / "table" / fragment).open("rb") as source:
        file = open_staged(source, schema, doubles.ORIGIN)
        assert file is not None
        rows = outcome_rows(file)
        assert rows is not None
    return result, rows.to_pylist()


def test_a_worker_whose_libsndfile_is_too_old_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("soundfile.__libsndfile_version__", "1.0.31")
    with pytest.raises(ClusterError, match=r"a worker cannot decode: libsndfile is 1\.0\.31"):
        extract(tmp_path, {"a.wav": "play a"}, run_id="another")


def test_every_failure_costs_one_row(tmp_path: Path) -> None:
    files = {
        "a.wav": "play a",
        "b.wav": "bad",
        "c.wav": "unreadable",
        "d.wav": "surprise",
        "e.wav": "play e",
    }
    result, rows = extract(tmp_path, files)
    kinds = [None, "undecodable", "unreadable", "crashed", None]
    assert [(row["path"], row["error_kind"]) for row in rows] == list(
        zip(files, kinds, strict=True)
    )
    assert result.n_files == 2
    assert [failure.kind for failure in result.failures] == kinds[1:4]
    assert "in _surprise" in result.failures[2].details


def test_a_worker_that_dies_loses_only_what_it_did_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobs.execution.attempt._STAGE_EVERY_S", 0.0)
    files = {f"{i}.wav": f"play {i}" for i in range(5)}
    corpus = write_files(tmp_path / "corpus", files)
    shard = Shard(0, tuple((name, "listed") for name in files))
    n_staged = []

    def count(path: str) -> None:
        n_staged.append(sum(1 for _ in (tmp_path / "table").rglob("*.parquet")))

    result = extract_shard(a_job(str(corpus), tmp_path), shard, count)
    assert n_staged[-1] == 4  # before the last file, all others are on disk
    assert len(result.staged) == 5


def test_a_file_that_is_gone(tmp_path: Path) -> None:
    corpus = write_files(tmp_path / "corpus", {"a.wav": "play"})
    job = a_job(str(corpus), tmp_path)
    (corpus / "a.wav").unlink()
    result = extract_shard(job, Shard(0, (("a.wav", "listed"),)))
    assert [failure.kind for failure in result.failures] == ["vanished"]


def test_a_file_that_changes_while_it_is_read_is_read_again(tmp_path: Path) -> None:
    name = tmp_path / "corpus" / "a.wav"
    first = f"rewrite {name} play again"
    result, [row] = extract(tmp_path, {"a.wav": first})
    assert (result.n_files, row["error_kind"]) == (1, None)
    assert row["peak"] == next(doubles.rows_of("play again")).columns["peak"][0]
    # the row's version is that of the bytes it was made of
    [entry] = open_store(str(tmp_path / "corpus")).stat(["a.wav"])
    assert entry is not None
    assert row["source_version"] == entry.version


def test_a_file_that_never_stops_changing_is_left_for_another_run(tmp_path: Path) -> None:
    files = {"a.wav": "surprise", "b.wav": "play"}
    result, rows = extract(tmp_path, files, extractor=_growing)
    assert [row["error_kind"] for row in rows] == ["unreadable", None]
    assert "keeps changing" in result.failures[0].message


def _growing(source: str, spec: object) -> list[featurelib.Rows]:
    if source.endswith("a.wav"):
        with open(source, "a") as file:
            file.write("more")
    return list(doubles.rows_of("x"))


def test_a_file_that_hangs_is_given_up_and_the_others_go_to_another_task(tmp_path: Path) -> None:
    gate = Gate(tmp_path / "gate")
    files = {"a.wav": "play", "b.wav": f"gate {gate.folder}", "c.wav": "play", "d.wav": "play"}
    result, rows = extract(tmp_path, files, file_timeout_s=0.3)
    gate.open()
    assert [(row["path"], row["error_kind"]) for row in rows] == [
        ("a.wav", None),
        ("b.wav", "timed_out"),
    ]
    assert result.n_files == 1
    assert result.unfinished is not None
    assert [path for path, _ in result.unfinished.files] == ["c.wav", "d.wav"]
    # what the hung file comes to later is not added any more
    [thread] = [thread for thread in threading.enumerate() if thread.name == "extract"] or [None]
    if thread is not None:
        thread.join(10)
    assert result.n_files == 1


def test_a_task_whose_time_is_over_leaves_the_other_files(tmp_path: Path) -> None:
    files = {f"{i}.wav": f"play {i}" for i in range(5)}
    corpus = write_files(tmp_path / "corpus", files)
    job = a_job(str(corpus), tmp_path)
    left: Shard | None = Shard(0, tuple((name, "listed") for name in files), (6,) * 5)
    done, n_tasks = 0, 0
    while left is not None:
        answers = iter([False, True])  # after the second file
        result = extract_shard(job, left, is_over=answers.__next__)
        done, n_tasks, left = done + result.n_files, n_tasks + 1, result.unfinished
    assert (done, n_tasks) == (5, 3)
    late = extract_shard(job, Shard(0, (("0.wav", "a"), ("1.wav", "b"))), is_over=lambda: True)
    assert late.n_files == 1  # else workers that start slowly would get nothing done
    assert late.unfinished is not None
    assert late.unfinished.files == (("1.wav", "b"),)


def test_a_file_that_hangs_when_it_is_looked_at_ahead_is_the_one_that_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answered = threading.Event()
    fetch = LocalStore.fetch

    def hanging(store: LocalStore, name: str) -> Fetched:
        if name == "c.wav":
            answered.wait()
        return fetch(store, name)

    monkeypatch.setattr(LocalStore, "fetch", hanging)
    files = {f"{name}.wav": "play 1" for name in "abcd"}
    try:
        result, _ = extract(tmp_path, files, file_timeout_s=0.3)
    finally:
        answered.set()
    assert [(f.path, f.kind) for f in result.failures] == [("c.wav", "timed_out")]
    assert result.unfinished is not None
    assert [path for path, _ in result.unfinished.files] == ["a.wav", "b.wav", "d.wav"]


def test_where_files_are_fetched_one_by_one_the_one_that_hangs_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus = f"memory://{tmp_path.name}"
    names = [f"{i:02d}.wav" for i in range(24)]
    for name in names:
        open_store(corpus).replace(name, b"play")
    answered = threading.Event()
    cat_file = MemoryFileSystem.cat_file

    def hanging(self: MemoryFileSystem, path: str, *arguments: object) -> bytes:
        if path.endswith("05.wav"):
            answered.wait()
        return cat_file(self, path, *arguments)

    monkeypatch.setattr(MemoryFileSystem, "cat_file", hanging)
    job = dataclasses.replace(a_job(corpus, tmp_path), file_timeout_s=0.5)
    shard = Shard(0, tuple((name, "listed") for name in names))
    try:
        result = extract_shard(job, shard)
        assert [(f.path, f.kind) for f in result.failures] == [("05.wav", "timed_out")]
        assert result.n_files <= 5
        assert result.unfinished is not None
        rest = extract_shard(job, result.unfinished)  # over a connection of its own
        assert (rest.n_files, rest.failures) == (23 - result.n_files, [])
    finally:
        answered.set()


def test_a_corpus_that_does_not_answer_does_not_hold_up_preparation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answered = threading.Event()
    monkeypatch.setattr(LocalStore, "stat", lambda store, names: answered.wait())
    monkeypatch.setattr("jobs.execution.task._CONNECT_S", 0.1)
    monkeypatch.setattr("jobs.execution.task._prepared_for", {})
    try:
        prepare(a_job(str(tmp_path / "corpus"), tmp_path))
    finally:
        answered.set()


def test_a_shards_rows_are_forgotten_when_it_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[weakref.ref[object]] = []

    def note(kind: type) -> None:
        init = kind.__init__

        def noted(self: object, *args: object) -> None:
            made.append(weakref.ref(self))
            init(self, *args)

        monkeypatch.setattr(kind, "__init__", noted)

    note(Attempt)
    note(StagingWriter)
    gc.disable()  # what only it would find is kept for long
    try:
        extract(tmp_path, {"a.wav": "play", "b.wav": "play"})
        assert len(made) == 2
        assert [x() for x in made] == [None, None]
    finally:
        gc.enable()


def test_what_native_code_says_is_kept_with_the_file(tmp_path: Path) -> None:
    files = {"a.wav": "play", "b.wav": "say Illegal header", "c.wav": "say another"}
    result, _ = extract(tmp_path, files)
    assert result.native_output == [("b.wav", "Illegal header"), ("c.wav", "another")]


@pytest.mark.parametrize(
    "options",
    [
        pytest.param(("--inline",), id="inline"),
        pytest.param((), id="cluster", marks=pytest.mark.slow),
    ],
)
def test_the_terminal_hears_nothing_of_native_code(
    tmp_path: Path, options: tuple[str, ...]
) -> None:
    files = {f"rock/{i}.wav": f"say noise of {i}" for i in range(6)}
    corpus = write_files(tmp_path / "corpus", files)
    arguments = ("extract", corpus, "--output", tmp_path / "table", "--labels", "parent")
    arguments += ("--workers", "2", "--preset", "tutorial-v1")
    with driver.started(*arguments, folder=tmp_path, options=options) as command:
        assert command.wait() == 0
    assert command.stderr == "extracting: 6 files\n"
    assert "noise" not in command.stdout
    said = {x["path"]: x["text"] for x in log_of(tmp_path / "table") if x["event"] == "decoder"}
    assert said == {f"rock/{i}.wav": f"noise of {i}" for i in range(6)}


def test_captured_output_is_given_back(capfd: pytest.CaptureFixture[str]) -> None:
    os.write(2, b"before ")
    with captured_output() as take:
        os.write(2, b"one")
        assert take() == "one"
        with captured_output() as inner:
            os.write(2, b"two")
            assert take() + inner() == "two"
        os.write(2, b"\xff" * 100_000)
        assert len(take()) <= 10_000
        assert take() == ""
    os.write(2, b"after")
    assert capfd.readouterr().err == "before after"


def test_a_full_folder_for_temporary_files_is_not_the_files_fault(tmp_path, monkeypatch):
    def full(**arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(featurelib.spill, "MEMORY_BYTES", 200_000)
    temporary = SimpleNamespace(TemporaryFile=full, gettempdir=lambda: "/full")
    monkeypatch.setattr(featurelib.spill, "tempfile", temporary)
    (tmp_path / "music").mkdir()
    (tmp_path / "music" / "long.wav").write_bytes(encode(chord(20.0)))
    report = run(tmp_path / "music", tmp_path / "table", extractor=featurelib.extract_rows)
    assert report.failures == {"unreadable": 1}  # which the next run tries again
    monkeypatch.undo()
    report = run(tmp_path / "music", tmp_path / "table", extractor=featurelib.extract_rows)
    assert (report.n_rows, report.failures) == (1, {})

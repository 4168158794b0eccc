"""The metrics of a run: what they count, and where they are found."""

from __future__ import annotations

import os
import socket
import urllib.request
from collections import Counter
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from jobs.diagnostics.events import (
    EXTRACTING,
    CountStarted,
    Event,
    InFlight,
    Planned,
    Retried,
    RunStarted,
    Serving,
    ShardDone,
    StepEnded,
    StepStarted,
    Workers,
)
from jobs.diagnostics.exposition import exposed
from jobs.errors import CorpusError, TableBusyError, UsageError
from jobs.execution.results import Failure, ShardResult
from jobs.settings import Settings
from jobs.storage.opening import open_store
from jobs.table.changes import Change
from jobs.table.lock import write_lock
from tests.support.driver import wait_until
from tests.support.light import features, request, run, write

Sample = tuple[str, frozenset[tuple[str, str]]]

BEGUN = RunStarted("r1", "/t", "/music", {}, "0.1.0+abc", {})


def parsed(text: str) -> dict[Sample, float]:
    """Return each sample of an exposition, by its name and labels other than ``table``."""
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = frozenset(item for item in sample.labels.items() if item[0] != "table")
            assert (sample.name, labels) not in found
            found[sample.name, labels] = sample.value
    return found


def value(samples: dict[Sample, float], name: str, **labels: str) -> float | None:
    return samples.get((f"featurelib_{name}", frozenset(labels.items())))


def scraped(url: str) -> dict[Sample, float]:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return parsed(answer.read().decode())


def in_file(path: Path) -> dict[Sample, float]:
    return parsed(path.read_text())


def test_what_is_counted() -> None:
    told: list[Event] = []
    failures = [Failure("a", "empty", "x"), Failure("b", "unreadable", "x")]
    result = ShardResult(0, n_files=3, failures=failures, audio_s=12.5, n_bytes=4000)
    result.retries = Counter(throttled=7)
    with exposed("127.0.0.1:0", "/t", told.append) as notify:
        [serving] = told
        assert isinstance(serving, Serving)
        assert serving.url.startswith("http://127.0.0.1:")
        for event in (
            BEGUN,
            Planned({Change.NEW: 9, Change.UNCHANGED: 4}, 0, 0, {}, {}),
            Workers(2, 5),
            StepStarted("extract"),
            CountStarted(EXTRACTING, 9),
            InFlight(3),
            ShardDone(result),
            Retried({"throttled": 1, "timeout": 2}),
        ):
            notify(event)
        assert told[1:] == [event for event in told if event is not serving]
        found = scraped(serving.url)
        notify(StepEnded("extract", 2.5))
        later = scraped(serving.url)
    expected = {
        ("run_info", ("run_id", "r1"), ("version", "0.1.0+abc")): 1,
        ("running",): 1,
        ("files_planned", ("change", "new")): 9,
        ("files_planned", ("change", "unchanged")): 4,
        ("files_planned", ("change", "deleted")): 0,
        ("files_total", ("status", "done")): 3,
        ("files_total", ("status", "failed")): 2,
        ("file_errors_total", ("kind", "empty")): 1,
        ("file_errors_total", ("kind", "crashed")): 0,
        ("files_queued",): 4,
        ("shards_in_flight",): 3,
        ("workers",): 2,
        ("workers_wanted",): 5,
        ("read_bytes_total",): 4000,
        ("audio_seconds_total",): 12.5,
        ("storage_retries_total", ("kind", "throttled")): 8,
        ("storage_retries_total", ("kind", "timeout")): 2,
        ("step", ("step", "extract")): 1,
        ("run_exit_code",): None,
        ("table_files",): None,
    }
    assert {key: value(found, key[0], **dict(key[1:])) for key in expected} == expected
    assert value(later, "step", step="extract") is None
    assert value(later, "step_duration_seconds", step="extract") == 2.5
    with pytest.raises(OSError, match="refused"):
        scraped(serving.url)


def test_a_file_after_each_run_knows_the_last_success(tmp_path: Path) -> None:
    write(tmp_path / "music" / "a.wav", "12345")
    write(tmp_path / "music" / "b.wav", "bad")
    prom = tmp_path / "featurelib.prom"
    report = run(tmp_path / "music", tmp_path / "t", metrics=str(prom))
    done = in_file(prom)
    assert value(done, "files_total", status="done") == report.n_files == 1
    assert value(done, "file_errors_total", kind="undecodable") == 1
    assert value(done, "read_bytes_total") == report.n_bytes == 8
    assert value(done, "table_rows") == 1
    assert (value(done, "running"), value(done, "run_exit_code")) == (0, 0)
    succeeded = value(done, "last_success_timestamp_seconds")
    assert succeeded is not None
    assert succeeded >= (value(done, "run_start_timestamp_seconds") or 0)

    (tmp_path / "music").rename(tmp_path / "away")
    with pytest.raises(CorpusError):
        run(tmp_path / "music", tmp_path / "t", metrics=str(prom))
    failed = in_file(prom)
    assert (value(failed, "running"), value(failed, "run_exit_code")) == (0, 1)
    assert value(failed, "last_success_timestamp_seconds") == succeeded
    assert value(failed, "files_total", status="done") == 0

    prom.write_text("damaged {")
    with pytest.raises(CorpusError):
        run(tmp_path / "music", tmp_path / "t", metrics=str(prom))
    assert value(in_file(prom), "last_success_timestamp_seconds") is None
    assert [path.name for path in tmp_path.iterdir() if "prom" in path.name] == [prom.name]


def test_a_run_that_is_refused_leaves_the_file_to_the_one_that_runs(tmp_path: Path) -> None:
    write(tmp_path / "music" / "a.wav")
    run(tmp_path / "music", tmp_path / "t")
    prom = write(tmp_path / "featurelib.prom", "of the other run")
    with (
        write_lock(open_store(str(tmp_path / "t")), "other"),
        pytest.raises(TableBusyError),
    ):
        run(tmp_path / "music", tmp_path / "t", metrics=str(prom))
    assert prom.read_text() == "of the other run"


def test_the_file_of_a_run_that_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobs.diagnostics.exposition._EVERY_S", 0.01)
    prom = tmp_path / "featurelib.prom"
    with exposed(str(prom), "/t", lambda event: None) as notify:
        notify(StepStarted("list"))
        assert not prom.exists()
        notify(BEGUN)
        wait_until(prom.exists, "the file while the run goes on")
        first = in_file(prom)
        assert value(first, "running") == 1
        for event in (
            CountStarted(EXTRACTING, 9),
            Workers(2, 2),
            ShardDone(ShardResult(0, n_files=3)),
        ):
            notify(event)
        wait_until(lambda: value(in_file(prom), "files_total", status="done") == 3, "new values")
        later = in_file(prom)
    ended = in_file(prom)
    names = ("running", "files_queued", "workers")
    assert [value(later, name) for name in names] == [1, 6, 2]
    assert [value(ended, name) for name in names] == [0, 0, 0]
    written = [value(samples, "updated_timestamp_seconds") for samples in (first, later, ended)]
    assert written == sorted(written)
    assert written[0] != written[-1]


def test_the_file_is_there_from_the_begin_and_for_other_users(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobs.diagnostics.exposition._EVERY_S", 3600.0)
    prom = tmp_path / "featurelib.prom"
    before = os.umask(0o077)
    try:
        with exposed(str(prom), "/t", lambda event: None) as notify:
            notify(BEGUN)
            wait_until(prom.exists, "the file")
        assert prom.stat().st_mode & 0o777 == 0o644
    finally:
        os.umask(before)


def test_what_cannot_be_written_or_listened_at_ends_the_run_before_it_begins(
    tmp_path: Path,
) -> None:
    write(tmp_path / "music" / "a.wav")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        where = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(UsageError, match=rf"{where}: Address already in use; give another"):
            run(tmp_path / "music", tmp_path / "t", metrics=where)
    for name in ("none/f.prom", "music/f.prom/x.prom"):
        with pytest.raises(UsageError, match=r"\.prom cannot be written: give a file in a folder"):
            run(tmp_path / "music", tmp_path / "t", metrics=str(tmp_path / name))
    assert not (tmp_path / "t").exists()


def test_a_disk_that_is_full_at_the_end_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "music" / "a.wav")

    def fails(*_: object) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr("jobs.diagnostics.exposition.write_to_textfile", fails)
    with pytest.warns(UserWarning, match=r"f\.prom cannot be written: No space left"):
        run(tmp_path / "music", tmp_path / "t", metrics=str(tmp_path / "f.prom"))
    assert len(features(tmp_path / "t")) == 1


@pytest.mark.parametrize("where", ["127.0.0.1:9100", "localhost:0", "[::1]:9100", "x/y.prom"])
def test_places(where: str) -> None:
    assert Settings(metrics=where).metrics == where


@pytest.mark.parametrize(
    "where",
    [
        *("0.0.0.0:9100", "10.0.0.1:9100", "example.org:9100", ":9100", "9100", "127.0.0.1"),
        *("127.0.0.1:x", "127.0.0.1:99999", "http://127.0.0.1:1", "127.0.0.1:1/metrics", "a.txt"),
        *("user@127.0.0.1:1", ""),
    ],
)
def test_no_places(where: str) -> None:
    with pytest.raises(UsageError, match=r"give 127\.0\.0\.1:PORT .*\.prom"):
        request("music", "t", metrics=where)

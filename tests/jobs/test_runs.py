"""The history of a table: `featurelib runs`."""

from __future__ import annotations

import csv
import datetime
import io
import json
import signal
from pathlib import Path

import pytest

from jobs.diagnostics.events import Event, ShardDone, StepEnded
from jobs.errors import TableBusyError, TableError
from jobs.runs import NAMES, history_lines, runs_of, table_runs
from tests.conftest import S3
from tests.support import driver
from tests.support.light import digest, invoke, run, write

UTC = datetime.UTC


def test_a_run_that_has_ended() -> None:
    summary = {
        "run_id": "20261127T001313.908Z-a525bc",
        "code": "0.1.0+abc",
        "user": "audio",
        "host": "nas",
        "started": "2026-11-27T00:13:14.000+00:00",
        "ended": "2026-11-27T00:15:14.500+00:00",
        "report": {
            "status": "done",
            "exit_code": 4,
            "read": 300,
            "reused": 20,
            "failed": {"empty": 2, "unreadable": 7},
            "planned": {"new": 250, "changed": 30, "retry": 20, "deleted": 4},
            "seconds": {"list": 1.0, "extract": 20.0, "merge": 2.0},
            "audio_s": 7200.0,
        },
    }
    [run] = runs_of([summary])
    assert (run.started, run.seconds) == (datetime.datetime(2026, 11, 27, 0, 13, 14, 0, UTC), 120.5)
    assert (run.n_new, run.n_changed, run.n_retried, run.n_deleted) == (250, 30, 20, 4)
    assert (run.n_read, run.n_failed, run.exit_code) == (300, 9, 4)
    assert (run.files_per_s, run.real_time_factor) == (14.0, 360.0)  # without those of another run
    header, line = history_lines([run])
    assert header.split("  ")[0] == "started (UTC)"
    assert line.split() == [
        *("2026-11-27", "00:13:14", "0:02:00", "done", "4", "250", "30", "20", "4", "9"),
        *("2.00", "14.0", "360", "audio@nas", run.run_id),
    ]


def test_runs_of_earlier_versions_and_damaged_summaries() -> None:
    old, empty, nothing_new = runs_of(
        [
            {
                "run_id": "20261127T001313.908Z-a525bc",
                "report": {"status": "done", "seconds": {"list": 1.0, "merge": 2.5}},
            },
            {},
            {"run_id": "odd", "report": {"status": "done", "read": 0, "seconds": {"list": 1}}},
        ]
    )
    assert (old.when, old.seconds, old.exit_code) == ("2026-11-27 00:13:13 UTC", 3.5, None)
    assert (empty.status, empty.when, empty.seconds) == ("unknown", "", None)
    assert (nothing_new.when, nothing_new.files_per_s) == ("odd", None)
    assert history_lines([old, empty, nothing_new])[2].split() == [
        "-",
        "unknown",
        "-",
        *"00000----",
    ]


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    for name in "abc":
        write(tmp_path / "music" / f"{name}.wav")
    return tmp_path / "music"


def test_what_became_of_each_run(corpus: Path) -> None:
    """One that is done, failed, held, stopped, overtaken, killed; refused ones leave nothing."""
    table = corpus.parent / "t"

    def stop(event: Event) -> None:
        if isinstance(event, ShardDone):
            raise KeyboardInterrupt

    def overtake(event: Event) -> None:
        if isinstance(event, StepEnded) and event.step == "plan":
            with pytest.raises(TableBusyError):
                run(corpus, table)
            (table / "_job" / "lock").unlink()

    run(corpus, table)
    corpus.rename(corpus.with_name("gone"))
    corpus.mkdir()
    with pytest.raises(Exception, match="no audio files"):
        run(corpus, table)
    write(corpus / "a.wav")
    assert run(corpus, table).exit_code == 3
    corpus.joinpath("a.wav").unlink()
    corpus.rmdir()
    corpus.with_name("gone").rename(corpus)
    write(corpus / "new.wav")
    with pytest.raises(KeyboardInterrupt):
        run(corpus, table, observer=stop)
    with pytest.raises(TableBusyError):
        run(corpus, table, observer=overtake)
    request = driver.request_for(corpus, table)
    assert driver.exit_code_of(driver.run_killed_at_step, request, 1, "list") == -signal.SIGKILL
    run(corpus, table)
    runs = table_runs(str(table), {})
    assert [(run.status, run.exit_code) for run in runs] == [
        *[("done", 0), ("failed", 1), ("held", 3), ("interrupted", 130), ("failed", 75)],
        *[("killed", None), ("done", 0)],
    ]
    assert [run.n_new for run in runs] == [3, 0, 0, 1, 1, 0, 1]
    assert runs[-1].n_read == 1
    lines = history_lines(runs)
    assert len(lines) == 1 + 7 + 4
    assert "no audio files in" in lines[3]
    assert [run.run_id for run in table_runs(str(table), {}, last=2)] == [
        run.run_id for run in runs[-2:]
    ]


def test_a_run_that_goes_on(corpus: Path) -> None:
    seen = []

    def look(event: Event) -> None:
        if isinstance(event, StepEnded) and event.step == "extract":
            [own] = table_runs(str(corpus.parent / "t"), {})
            seen.append((own.status, own.exit_code, own.seconds, own.ended))

    run(corpus, corpus.parent / "t", observer=look)
    assert seen == [("running", None, None, None)]


def test_as_text_json_and_csv(corpus: Path) -> None:
    table = corpus.parent / "t"
    for _ in range(2):
        run(corpus, table)
    before = digest(table)
    [first, second] = json.loads(invoke("runs", table, "--json").stdout)
    assert tuple(first) == NAMES
    assert (first["new"], second["new"], second["status"]) == (3, 0, "done")
    [row] = csv.DictReader(io.StringIO(invoke("runs", table, "--csv", "--last", "1").stdout))
    assert row["run_id"] == second["run_id"]
    assert datetime.datetime.fromisoformat(row["started"]) >= datetime.datetime.fromisoformat(
        first["ended"]
    )
    lines = invoke("runs", table).stdout.splitlines()
    assert [line.rpartition(" ")[2] for line in lines] == [
        *("run", first["run_id"], second["run_id"])
    ]
    assert digest(table) == before


def test_where_there_is_no_history(corpus: Path) -> None:
    done = invoke("runs", corpus)
    assert (done.returncode, done.stdout) == (1, "")
    assert "is no table of featurelib's" in done.stderr
    assert invoke("runs", corpus, "--last", "0").returncode == 2


def test_of_a_corpus_that_was_never_right(corpus: Path) -> None:
    """The first run has failed, so there is no table yet."""
    with pytest.raises(Exception, match="no audio files"):
        run(corpus, corpus.parent / "t", include=["*.flac"])
    [only] = table_runs(str(corpus.parent / "t"), {})
    assert (only.status, only.exit_code) == ("failed", 1)
    assert "no audio files" in only.reason


def test_on_s3(s3: S3, corpus: Path) -> None:
    table, options = f"s3://{s3.bucket()}/t", s3.storage_options
    with pytest.raises(TableError, match="there is no table at"):
        table_runs(table, options)
    texts = [f"table:{k}={json.dumps(v) if isinstance(v, dict) else v}" for k, v in options.items()]
    for _ in range(2):
        run(corpus, table, storage_options=texts)
    assert [run.n_new for run in table_runs(table, options)] == [3, 0]

"""What a run leaves behind, and what it must not."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest

import jobs.diagnostics.run_log
from jobs.diagnostics.events import Event, Note, RunEnded, ShardDone, StepEnded
from jobs.diagnostics.run_log import RunLog
from jobs.errors import CorpusError, TableError
from jobs.execution.results import Failure, ShardResult
from jobs.run import plan_job
from jobs.storage.opening import open_store
from jobs.table.history import new_run_id, read_summaries, write_summary
from tests.conftest import S3
from tests.support.light import digest, request, run, write


def read(table: Path) -> tuple[dict, list[dict]]:
    [folder] = (table / "_job" / "runs").iterdir()
    lines = (folder / "log.jsonl").read_text().splitlines()
    return json.loads((folder / "run.json").read_text()), [json.loads(line) for line in lines]


def test_a_run_s_log_and_summary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "music" / "a.wav")
    write(tmp_path / "music" / "b.wav", "bad\n\x1b[31m")
    monkeypatch.chdir(tmp_path)
    report = run("music", "t", include=["*.wav"])
    summary, lines = read(tmp_path / "t")
    assert summary["run_id"] == report.run_id
    assert summary["corpus"] == str(tmp_path / "music")
    assert summary["settings"]["include"] == ["*.wav"]
    assert summary["report"]["status"] == "done"
    assert summary["report"]["planned"]["new"] == 2
    events = [line["event"] for line in lines]
    assert events[0] == "start"
    assert (lines[-1]["event"], lines[-1]["status"], lines[-1]["level"]) == ("end", "done", "info")
    [error] = [line for line in lines if line["event"] == "error"]
    assert (error["path"], error["kind"]) == ("b.wav", "undecodable")
    steps = [line["step"] for line in lines if line["event"] == "step"]
    assert [s for s in steps if s != "cluster"] == [
        *("list", "plan", "extract", "merge", "verify", "clean")
    ]


def test_a_failed_run_says_so(tmp_path: Path) -> None:
    write(tmp_path / "music" / "cover.jpg")
    with pytest.raises(Exception, match="no audio files"):
        run(tmp_path / "music", tmp_path / "t")
    summary, lines = read(tmp_path / "t")
    assert summary["report"]["status"] == "failed"
    assert lines[-1]["event"] == "failed"
    assert "no audio files" in lines[-1]["message"]


def test_a_run_that_was_held_says_why(tmp_path: Path) -> None:
    write(tmp_path / "music" / "a.wav", "bad")
    run(tmp_path / "music", tmp_path / "t", max_failed=0.0)
    _, lines = read(tmp_path / "t")
    end = lines[-1]
    assert (end["event"], end["status"], end["level"]) == ("end", "held", "warning")
    assert "--max-failed" in end["reason"]


def test_an_interrupted_run_says_how_much_it_did(tmp_path: Path) -> None:
    def interrupt(event: Event) -> None:
        if isinstance(event, ShardDone):
            raise KeyboardInterrupt

    write(tmp_path / "music" / "a.wav")
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "music", tmp_path / "t", observer=interrupt)
    summary, _ = read(tmp_path / "t")
    assert summary["report"]["status"] == "interrupted"
    assert summary["report"]["read"] == 1


def test_a_run_is_recorded_though_its_observer_fails(tmp_path: Path) -> None:
    """As a progress bar does when its terminal is gone."""

    def fail(event: Event) -> None:
        if isinstance(event, ShardDone | RunEnded):
            raise OSError("no terminal")

    write(tmp_path / "music" / "a.wav")
    with pytest.raises(TableError, match="no terminal"):
        run(tmp_path / "music", tmp_path / "t", observer=fail)
    summary, lines = read(tmp_path / "t")
    assert summary["report"]["status"] == "failed"
    assert lines[-1]["event"] == "failed"


def test_a_plan_that_fails_does_not_end_as_planned(tmp_path: Path) -> None:
    write(tmp_path / "music" / "cover.jpg")
    events: list[Event] = []
    with pytest.raises(CorpusError, match="no audio files") as error:
        plan_job(request(tmp_path / "music", tmp_path / "t"), events.append)
    assert events[-1] == RunEnded("failed", error=error.value)


def test_no_secret_reaches_any_file(tmp_path: Path) -> None:
    secrets = ["s3cret", 'pa"ss\\w\nörd', "täst/+=="]
    write(tmp_path / "music" / "a.wav")
    options = [f"key{i}={secret}" for i, secret in enumerate(secrets)]
    run(tmp_path / "music", tmp_path / "t", storage_options=options)
    log = RunLog(open_store(str(tmp_path / "t")), "r", secrets)
    log(Note(f"no access with {' and '.join(secrets)}"))
    write_summary(open_store(str(tmp_path / "t")), "r", secrets, settings={"x": secrets})
    log.flush()
    for path in digest(tmp_path / "t"):
        if Path(path).is_file():
            text = Path(path).read_bytes().decode("utf-8", "replace")
            for secret in secrets:
                assert secret not in text
                assert json.dumps(secret)[1:-1] not in text
    log_lines = (tmp_path / "t/_job/runs/r/log.jsonl").read_text()
    assert "no access with *** and *** and ***" in log_lines


def test_run_ids_sort_by_time() -> None:
    ids = [new_run_id() for _ in range(5)]
    assert len(set(ids)) == 5
    assert [i[:19] for i in ids] == sorted(i[:19] for i in ids)


def test_a_log_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What decoders say may be dropped, what the run says of itself is not."""
    monkeypatch.setattr(jobs.diagnostics.run_log, "MAX_BYTES", 1000)
    log = RunLog(open_store(str(tmp_path)), "r")
    for _ in range(50):
        log(ShardDone(ShardResult(0, native_output=[("a.mp3", "x" * 100)])))
    log(RunEnded("failed", error=OSError("why")))
    log.flush()
    text = (tmp_path / "_job/runs/r/log.jsonl").read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    kept = sum(line["event"] == "decoder" for line in lines)
    assert [line["event"] for line in lines][-2:] == ["failed", "dropped"]
    assert lines[-1]["lines"] == 2 * (50 - kept)  # with a line for the shard
    assert 1 <= kept < 10


def lines_of(*files: Path) -> list[dict]:
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


def test_a_log_is_appended_to(tmp_path: Path) -> None:
    log, file = RunLog(open_store(str(tmp_path)), "r"), tmp_path / "_job/runs/r/log.jsonl"
    log(Note("first"))
    log.flush()
    inode, data = file.stat().st_ino, file.read_bytes()
    log.flush()
    assert file.read_bytes() == data
    log(Note("second"))
    log.flush()
    assert file.stat().st_ino == inode
    assert file.read_bytes().startswith(data)
    assert [line["text"] for line in lines_of(file)] == ["first", "second"]


def test_where_files_cannot_be_appended_to_a_log_has_pieces(s3: S3) -> None:
    store = open_store(f"s3://{s3.bucket()}/t", s3.storage_options)
    log = RunLog(store, "r")
    for text in ("first", "second"):
        log(Note(text))
        log.flush()
        log.flush()
    names = [entry.name for page in store.scan("_job/runs") for entry in page]
    assert sorted(names) == ["_job/runs/r/log-00000.jsonl", "_job/runs/r/log-00001.jsonl"]
    pieces = [store.read(name)[0] for name in sorted(names)]
    assert [json.loads(piece)["text"] for piece in pieces] == ["first", "second"]


def test_what_each_line_has(tmp_path: Path) -> None:
    log = RunLog(open_store(str(tmp_path)), "r")
    failures = [Failure("a.wav", "undecodable", "bad"), Failure("b.wav", "unreadable", "no")]
    where = {"worker": "tls://10.0.0.2:1", "host": "node2", "shard": "0a1b2c3d"}
    log(ShardDone(ShardResult(0, failures=failures, **where)))
    log(Note("text"))
    log(StepEnded("plan", 1.0))
    log(RunEnded("failed", error=OSError("why")))
    log.flush()
    lines = lines_of(tmp_path / "_job/runs/r/log.jsonl")
    assert [(line["event"], line["level"]) for line in lines] == [
        ("error", "warning"),
        ("error", "error"),
        ("shard", "info"),
        ("note", "warning"),
        ("step", "info"),
        ("failed", "error"),
    ]
    assert {line["run"] for line in lines} == {"r"}
    for line in lines[:3]:
        assert (line["worker"], line["host"]) == ("tls://10.0.0.2:1", "node2")
        assert line["shard"] == "0a1b2c3d"
    for line in lines[3:]:
        assert (line["worker"], line["host"]) == (None, socket.gethostname())


def test_a_disk_that_is_full_leaves_no_half_line(tmp_path: Path) -> None:
    """In a process of its own, whose limit on the size of files is no other test's."""
    code = """
import resource, sys
from jobs.diagnostics.events import Note
from jobs.diagnostics.run_log import RunLog
from jobs.storage.opening import open_store
log = RunLog(open_store(sys.argv[1]), "r")
log(Note("fits"))
log.flush()
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
log(Note("x" * 2000))
try:
    log.flush()
except OSError:
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
    log.flush()
"""
    subprocess.run([sys.executable, "-c", code, tmp_path], check=True)
    lines = lines_of(tmp_path / "_job/runs/r/log.jsonl")
    assert [line["text"][:4] for line in lines] == ["fits", "xxxx"]


def test_summaries_that_cannot_be_read_are_left_out(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    assert read_summaries(store) == []
    write_summary(store, "r2", (), a=2)
    write_summary(store, "r1", (), a=1)
    write(tmp_path / "_job/runs/r3/run.json", "{")
    assert [s["run_id"] for s in read_summaries(store)] == ["r1", "r2"]

"""Workers as jobs of a real Slurm: what ends them, and what keeps them from coming."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.support import driver
from tests.support.doubles import Gate
from tests.support.driver import Command, wait_until
from tests.support.slurm import Slurm
from tests.support.tables import assert_same_table, log_of, write_files

pytestmark = pytest.mark.programs


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    return Gate(tmp_path / "gate")


@pytest.fixture
def corpus(tmp_path: Path, gate: Gate) -> Path:
    """Give a corpus whose last file waits at the gate."""
    files = {f"rock/{i:02}.wav": f"play {i}" for i in range(20)}
    return write_files(tmp_path / "corpus", files | {"rock/last.wav": f"gate {gate.folder}"})


@contextlib.contextmanager
def on_slurm(
    corpus: Path, *options: str, cluster: str = "", run: str = "", memory: str = "600MB"
) -> Iterator[Command]:
    folder = corpus.parent
    config = folder / "slurm.toml"
    config.write_text(
        f"[cluster]\ninterface = 'lo'\nmemory = '{memory}'\nlog_directory = '{folder / 'logs'}'\n"
        f"{cluster}\n[run]\n{run}\n"
    )
    line = ("extract", corpus, "--output", folder / "table", "--labels", "parent")
    line += ("--preset", "tutorial-v1", "--cluster", "slurm", "--config", config)
    with driver.started(*line, *(options or ("--workers", "2")), folder=folder) as command:
        yield command


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_run_that_is_interrupted_cancels_its_jobs(
    corpus: Path, gate: Gate, slurm: Slurm, number: int, code: int
) -> None:
    with on_slurm(corpus) as command:
        wait_until(lambda: gate.pids or not command.is_running, "a file at the gate")
        pids = gate.pids
        command.process.send_signal(number)
        assert command.wait() == code, command.stderr
    slurm.wait_until_empty(10)
    assert not any(psutil.pid_exists(pid) for pid in pids)


def test_a_driver_that_is_killed(corpus: Path, gate: Gate, slurm: Slurm, tmp_path: Path) -> None:
    with on_slurm(corpus) as command:
        wait_until(lambda: gate.pids or not command.is_running, "a file at the gate")
        assert slurm.active()
        command.process.kill()
        command.process.wait()
    slurm.wait_until_empty(90)  # without its scheduler a worker ends
    gate.open()
    with on_slurm(corpus) as command:
        assert command.wait() == 0, command.stderr
    driver.run_inline(driver.request_for(corpus, tmp_path / "undisturbed", labels="parent"))
    assert_same_table(tmp_path / "table", tmp_path / "undisturbed")


def test_a_queue_that_does_not_start_jobs(corpus: Path, slurm: Slurm) -> None:
    reason = "of 2 jobs 2 PENDING (PartitionDown)"
    with slurm.partition_down(), on_slurm(corpus, run="first_worker_timeout_s = 12") as command:
        assert command.wait() == 1
    lines = command.stderr.splitlines()
    assert lines[:2] == ["extracting: 21 files", "workers: 0 of 2"]
    waiting, error = lines[2:]
    assert waiting == (
        f"waiting: there has been no worker for 10 s: {reason} (the run ends after 12 s)"
    )
    assert error == (
        f"featurelib: no worker came within 12 s (first_worker_timeout_s): {reason}; change that,"
        " and run the same command again"
    )
    assert slurm.active() == []
    told = [line for line in log_of(corpus.parent / "table") if line["event"] == "workers"]
    assert [(line["n_workers"], line["n_wanted"]) for line in told] == [(0, 2)]


def test_jobs_that_end_at_once(corpus: Path, slurm: Slurm) -> None:
    prologue = "job_script_prologue = ['echo no module featurelib here >&2', 'exit 1']"
    logs = write_files(corpus.parent / "logs", {"featurelib-0.err": "a word of another run"})
    os.utime(logs / "featurelib-0.err", (2**32, 2**32))
    with on_slurm(corpus, cluster=prologue) as command:
        assert command.wait() == 1
    assert command.stderr.splitlines()[-1] == (
        "featurelib: 3 jobs have ended before their workers joined the cluster (the last line of a"
        f" log in {corpus.parent / 'logs'}: no module featurelib here): correct [cluster], and run"
        " the same command again"
    )
    assert slurm.active() == []


@pytest.mark.parametrize(
    ("cluster", "memory", "reason"),
    [
        ("queue = 'nope'", "600MB", "Invalid partition name specified"),
        ("", "9TB", "Requested node configuration is not available"),
    ],
)
def test_jobs_that_slurm_refuses(
    corpus: Path, slurm: Slurm, cluster: str, memory: str, reason: str
) -> None:
    with on_slurm(corpus, cluster=cluster, memory=memory) as command:
        assert command.wait() == 1
    first, *more, last = command.stderr.splitlines()
    assert first == "extracting: 21 files"
    assert more in ([], ["workers: 0 of 2"])
    assert last.startswith("featurelib: no job can be submitted: sbatch: error: ")
    assert reason in last


def test_others_cannot_read_the_script_of_a_job(
    corpus: Path, gate: Gate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may have passwords in its prologue."""
    gate.open()
    sbatch = tmp_path / "bin" / "sbatch"
    sbatch.parent.mkdir()
    sbatch.write_text(f'#!/bin/sh\nstat -c %a "$1" >> {tmp_path / "modes"}\nexit 1\n')
    sbatch.chmod(0o755)
    monkeypatch.setenv("PATH", f"{sbatch.parent}:{os.environ['PATH']}")
    with on_slurm(corpus) as command:
        assert command.wait() == 1
    assert set((tmp_path / "modes").read_text().split()) == {"600"}


def test_slurm_is_not_there(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/usr/local/bin")
    with on_slurm(corpus) as command:
        assert command.wait() == 1
    assert "No such file or directory: 'sbatch'" in command.stderr.splitlines()[-1]


def test_two_workers_a_job_that_grow_and_shrink(
    corpus: Path, gate: Gate, slurm: Slurm, tmp_path: Path
) -> None:
    with on_slurm(corpus, "--workers", "0:2", cluster="cores = 2", memory="1GB") as command:
        wait_until(lambda: gate.pids or not command.is_running, "a file at the gate")
        assert len(slurm.active()) == 1, command.stderr
        gate.open()
        assert command.wait() == 0, command.stderr
    driver.run_inline(driver.request_for(corpus, tmp_path / "undisturbed", labels="parent"))
    assert_same_table(tmp_path / "table", tmp_path / "undisturbed")

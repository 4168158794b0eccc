"""Signals to a driver, and two drivers at once."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pyarrow.parquet as pq
import pytest

from jobs.status import table_status
from tests.support import driver
from tests.support.doubles import Gate
from tests.support.driver import Command, wait_until, wait_until_gone
from tests.support.quick import slow_but
from tests.support.sockets import assert_closed_to_others, listeners
from tests.support.tables import assert_same_table, assert_tidy, write_files

N_FILES = 40

#: At least this many are read, whatever the shard of the file at the gate.
N_READ = 34


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    return Gate(tmp_path / "gate")


@pytest.fixture
def corpus(tmp_path: Path, gate: Gate) -> Path:
    """Give a corpus whose last file waits at the gate."""
    # After a sample, which has the smallest file, the largest files come first.
    files = {f"rock/{i:02d}.wav": f"play {i}".ljust(500 if i else 300) for i in range(N_FILES)}
    last = f"gate {gate.folder}".ljust(400)
    return write_files(tmp_path / "corpus", files | {"rock/last.wav": last})


def n_extracted(table: Path) -> int:
    """Return how many files have rows among those staged; a file can have several."""
    found = (table / "_job" / "runs").rglob("staged/*.parquet")
    tables = [pq.read_table(path, columns=["path"]) for path in found]
    return len({path for table in tables for path in table["path"].to_pylist()})


@contextmanager
def at_the_gate(
    corpus: Path, gate: Gate, *arguments: str, options: tuple[str, ...] = ()
) -> Iterator[Command]:
    """Start a driver and wait until all of the corpus is read but the file at the gate."""
    table = corpus.parent / "table"
    with driver.started(
        *("extract", corpus, "--output", table, "--labels", "parent", "--preset", "tutorial-v1"),
        *("--workers", "2", "--buckets", "1", *arguments),
        folder=corpus.parent,
        options=options,
    ) as command:
        wait_until(
            lambda: (gate.pids and n_extracted(table) >= N_READ) or not command.is_running,
            "all files read but those around the gate",
        )
        assert command.is_running, command.stderr
        yield command


def assert_goes_on(corpus: Path, gate: Gate) -> None:
    """Run the same command again: what was finished is not read again."""
    gate.open()
    table = corpus.parent / "table"
    report = driver.run_inline(driver.request_for(corpus, table, labels="parent", buckets=1))
    assert report.n_files == N_FILES + 1
    assert report.n_reused >= N_READ
    undisturbed = corpus.parent / "undisturbed"
    driver.run_inline(driver.request_for(corpus, undisturbed, labels="parent", buckets=1))
    assert_same_table(table, undisturbed)
    assert_tidy(table)


@pytest.mark.parametrize("times", slow_but([1], [1, 2]))
def test_ctrl_c(corpus: Path, gate: Gate, times: int) -> None:
    with at_the_gate(corpus, gate) as command:
        family = command.family()
        for i in range(times):
            time.sleep(0.2 * i)  # an impatient user's, while the first is being seen to
            os.killpg(command.process.pid, signal.SIGINT)
        assert command.wait() == 130
        wait_until_gone(family)
    lines = [line for line in command.stderr.splitlines() if line]  # one is empty, after the ^C
    assert lines[-1] == "featurelib: interrupted; finished work is kept, run again to go on"
    status = table_status(str(corpus.parent / "table"), {})
    assert status.runs[-1]["report"]["status"] == "interrupted"
    assert status.n_waiting >= N_READ
    assert lines[:-1] == [f"extracting: {N_FILES + 1} files"]
    assert_goes_on(corpus, gate)


@pytest.mark.slow
@pytest.mark.parametrize("to_all", [False, True], ids=["driver", "group"])
def test_sigterm(corpus: Path, gate: Gate, to_all: bool) -> None:
    with at_the_gate(corpus, gate) as command:
        family = command.family()
        if to_all:  # as systemd and container runtimes do
            os.killpg(command.process.pid, signal.SIGTERM)
        else:
            command.process.terminate()
        assert command.wait() == 143
        wait_until_gone(family)
    lines = command.stderr.splitlines()
    assert lines[-1] == "featurelib: ended by SIGTERM; finished work is kept, run again to go on"
    assert lines[:-1] == [f"extracting: {N_FILES + 1} files"]
    assert_goes_on(corpus, gate)


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_end_a_run_without_workers(
    corpus: Path, gate: Gate, number: signal.Signals, code: int
) -> None:
    with at_the_gate(corpus, gate, options=("--inline",)) as command:
        command.process.send_signal(number)
        assert command.wait() == code
    assert_goes_on(corpus, gate)


@pytest.mark.slow
def test_sigkill_leaves_no_worker_behind(corpus: Path, gate: Gate) -> None:
    with at_the_gate(corpus, gate) as command:
        family = command.family()
        assert len(family) > 2
        command.process.kill()
        assert command.wait() == -signal.SIGKILL
        wait_until_gone(family)
    assert_goes_on(corpus, gate)


@pytest.mark.slow
def test_nothing_listens_beyond_loopback(corpus: Path, gate: Gate) -> None:
    with at_the_gate(corpus, gate) as command:
        # the scheduler, and two workers at least
        assert_closed_to_others(command.family(), at_least=3)
        assert {one.host for one in listeners(command.family())} == {"127.0.0.1"}
        gate.open()
        assert command.wait() == 0
    # and nothing but the report is printed
    assert command.stderr.splitlines() == [f"extracting: {N_FILES + 1} files"]


def second_driver(corpus: Path) -> tuple[int, list[str]]:
    """Start a second driver; return its exit code and standard error's lines."""
    arguments = ("extract", corpus, "--output", corpus.parent / "table", "--labels", "parent")
    with driver.started(*arguments, folder=corpus.parent) as command:
        return command.wait(), command.stderr.splitlines()


@pytest.mark.slow
def test_of_two_drivers_one_works(corpus: Path, gate: Gate) -> None:
    with at_the_gate(corpus, gate, options=("--inline",)) as first:
        code, [line] = second_driver(corpus)
        assert code == 75
        assert "is being written by run 2" in line
        assert f"process {first.process.pid} on" in line
        gate.open()
        assert first.wait() == 0
    assert_goes_on_with_nothing_to_do(corpus)


@pytest.mark.slow
def test_a_stopped_driver_keeps_its_lock(corpus: Path, gate: Gate) -> None:
    with at_the_gate(corpus, gate, options=("--inline",)) as first:
        first.process.send_signal(signal.SIGSTOP)
        wait_until(
            lambda: psutil.Process(first.process.pid).status() == psutil.STATUS_STOPPED, "stopped"
        )
        assert second_driver(corpus)[0] == 75
        gate.open()
        first.process.send_signal(signal.SIGCONT)
        assert first.wait() == 0
    assert_goes_on_with_nothing_to_do(corpus)


def assert_goes_on_with_nothing_to_do(corpus: Path) -> None:
    table = corpus.parent / "table"
    assert_tidy(table)
    report = driver.run_inline(driver.request_for(corpus, table, labels="parent"))
    assert (report.n_files, report.parts_written) == (N_FILES + 1, 0)

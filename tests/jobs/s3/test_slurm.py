"""The whole job on a real Slurm, with its corpus and its table in a bucket."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.jobs.s3.place import Place
from tests.support import driver
from tests.support.clusters import certificates
from tests.support.doubles import Gate
from tests.support.driver import Command, wait_until
from tests.support.slurm import Slurm, job_of, processes_of
from tests.support.sockets import assert_closed_to_others, assert_encrypted, listeners

pytestmark = [pytest.mark.programs, pytest.mark.usefixtures("environment")]

FILES = {f"{'rock' if i % 2 else 'pop'}/{i:02}.wav": f"work 0.2 {i}" for i in range(30)}


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    return Gate(tmp_path / "gate")


@contextlib.contextmanager
def on_slurm(place: Place, *options: str, cluster: str = "") -> Iterator[Command]:
    """Start the command for the bucket's corpus on Slurm."""
    config = place.folder / "slurm.toml"
    config.write_text(
        f"[cluster]\nmemory = '600MB'\nlog_directory = '{place.folder / 'logs'}'\n{cluster}\n"
    )
    url = f"s3://{place.bucket}"
    line = ("extract", f"{url}/corpus", "--output", f"{url}/table", "--labels", "parent")
    line += ("--preset", "tutorial-v1", "--buckets", "2", "--cluster", "slurm")
    line += ("--config", str(config), *options)
    with driver.started(*line, folder=place.folder) as command:
        yield command


def check(place: Place, command: Command) -> None:
    """Fail unless the table is the one that is made locally."""
    assert command.wait() == 0, command.stderr
    driver.run_inline(place.local_request())
    place.assert_same_as_local()
    place.assert_tidy()


def n_open(job: str, slurm: Slurm) -> int:
    """Return how many sockets of a job other machines reach."""
    return sum(not one.is_loopback for one in listeners(processes_of(job, slurm)))


def test_a_job_that_is_cancelled_in_the_middle(
    place: Place, gate: Gate, slurm: Slurm, tmp_path: Path
) -> None:
    place.write({**FILES, "rock/last.wav": f"gate {gate.folder}"})
    certificates(tmp_path / "tls")
    with on_slurm(place, "--workers", "2", "--tls", str(tmp_path / "tls")) as command:
        wait_until(lambda: gate.pids or not command.is_running, "a file at the gate")
        wait_until(lambda: len(slurm.active()) == 2, "both jobs")
        first = slurm.active()
        wait_until(lambda: all(n_open(job, slurm) >= 2 for job in first), "their nannies, workers")
        processes = [p for job in first for p in processes_of(job, slurm)]
        assert_encrypted([*command.family(), *processes], at_least=5)
        slurm.cancel(job_of(gate.pids[0]))
        wait_until(lambda: set(slurm.active()) - set(first), "another job")
        gate.open()
        check(place, command)
    assert "31 files with features" in command.stdout
    assert ", 0 failed" in command.stdout
    assert slurm.active() == []


def test_jobs_that_leave_before_their_wall_time(place: Place, slurm: Slurm) -> None:
    place.write({name: text.replace("0.2", "1.5") for name, text in FILES.items()})
    before = set(slurm.states())
    cluster = "interface = 'lo'\nwalltime = '1'"
    with on_slurm(place, "--workers", "1", cluster=cluster) as command:
        check(place, command)
    states = [state for number, state in slurm.states().items() if number not in before]
    assert len(states) >= 2, "one job did all"
    # without work, jobs are cancelled; one that is slow to end by itself may be
    assert set(states) <= {"COMPLETED", "CANCELLED"}
    assert slurm.active() == []


def test_a_job_that_reaches_its_wall_time(place: Place, gate: Gate, slurm: Slurm) -> None:
    place.write({**FILES, "rock/last.wav": f"gate {gate.folder}"})
    cluster = "interface = 'lo'\nwalltime = '1'"
    with on_slurm(place, "--workers", "1", cluster=cluster) as command:
        wait_until(lambda: gate.pids or not command.is_running, "a file at the gate")
        first = job_of(gate.pids[0])
        processes = [*command.family(), *processes_of(first, slurm)]
        assert_closed_to_others(processes, at_least=5)
        wait_until(lambda: slurm.states().get(first) == "TIMEOUT", "the wall time")
        wait_until(lambda: set(slurm.active()) - {first}, "another job")
        gate.open()
        check(place, command)
    assert "31 files with features" in command.stdout
    assert ", 0 failed" in command.stdout

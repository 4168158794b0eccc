"""Files that end their process: what is evidence against a file, and what is none."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from pathlib import Path

import psutil
import pytest

from jobs.errors import ClusterError
from jobs.execution.child import _tell as tell
from jobs.execution.results import ShardResult
from jobs.execution.sharding import Shard
from jobs.execution.suspects import MAX_ATTEMPTS, extract_suspects
from jobs.execution.task import ignore_file
from tests.jobs.execution.test_dask import job_for
from tests.support.doubles import Gate
from tests.support.driver import running, wait_until, wait_until_gone
from tests.support.quick import slow_but_every
from tests.support.tables import write_files

LIMIT = 700 * 10**6


def extract(
    tmp_path: Path, files: dict[str, str], *, n_deaths: int = 0, **values: object
) -> ShardResult:
    """Extract files as one shard of suspects."""
    corpus = write_files(tmp_path / "corpus", files)
    shard = Shard(0, tuple((name, "listed") for name in files), (), True, n_deaths)
    return extract_suspects(
        job_for(corpus, tmp_path / "table", **values), shard, ignore_file, LIMIT
    )


def good(n: int) -> dict[str, str]:
    return {f"{i:02d}.wav": f"play {i}" for i in range(n)}


@pytest.mark.parametrize(
    ("text", "kind", "message"),
    slow_but_every(
        3,
        [
            ("signal 11", "crashed", "ends its process with SIGSEGV"),
            ("signal 6", "crashed", "ends its process with SIGABRT"),
            ("exit 3", "crashed", "ends its process with the exit code 3"),
            ("exit 0", "crashed", "ends its process with the exit code 0"),
            (
                "eat",
                "crashed",
                "needs more memory than the 700 MB that a worker may use for a file",
            ),
            ("hang", "timed_out", "not done after 3 s (file_timeout_s)"),
        ],
    ),
)
def test_a_file_that_ends_its_process_is_named(
    tmp_path: Path, text: str, kind: str, message: str
) -> None:
    files = good(20) | {"07.wav": text}
    result = extract(tmp_path, files, file_timeout_s=3.0 if text == "hang" else 600.0)
    [failure] = result.failures
    assert (failure.path, failure.kind) == ("07.wav", kind)
    assert failure.message.startswith(message)
    assert (result.n_files, result.n_rows >= 19) == (19, True)


@pytest.mark.slow
def test_two_files_that_end_their_process(tmp_path: Path) -> None:
    result = extract(tmp_path, good(6) | {"00.wav": "signal 11", "03.wav": "exit 1"})
    assert [failure.path for failure in result.failures] == ["00.wav", "03.wav"]
    assert result.n_files == 4


@pytest.mark.parametrize("number", slow_but_every(2, [signal.SIGKILL, signal.SIGTERM]))
def test_a_child_that_somebody_else_kills_is_no_evidence(tmp_path: Path, number: int) -> None:
    marker = tmp_path / "marker"
    result = extract(tmp_path, good(3) | {"01.wav": f"once {marker} signal {number}"})
    assert marker.exists()
    assert (result.n_files, result.failures) == (3, [])


def test_after_five_deaths_without_evidence_the_next_run_tries_it_again(tmp_path: Path) -> None:
    result = extract(tmp_path, good(3) | {"01.wav": "signal 9"}, n_deaths=MAX_ATTEMPTS - 2)
    [failure] = result.failures
    assert (failure.path, failure.kind) == ("01.wav", "unreadable")
    assert failure.message == (
        "5 processes were ended while they extracted it, and nothing says that it is to blame"
        " (the last: killed by SIGKILL): the next run tries it again"
    )
    assert result.n_files == 2


def test_a_failure_that_python_knows_is_the_same_as_in_a_worker(tmp_path: Path) -> None:
    result = extract(tmp_path, good(3) | {"01.wav": "bad", "02.wav": "surprise"})
    assert [failure.kind for failure in result.failures] == ["undecodable", "crashed"]
    assert result.n_files == 1


def test_every_file_is_announced(tmp_path: Path) -> None:
    corpus = write_files(tmp_path / "corpus", good(3))
    shard = Shard(0, tuple((name, "listed") for name in good(3)), (), True)
    announced: list[str] = []
    extract_suspects(job_for(corpus, tmp_path / "table"), shard, announced.append, None)
    assert set(announced) == set(good(3))


@pytest.mark.slow
def test_suspects_are_left_to_another_task_when_the_time_is_over(tmp_path: Path) -> None:
    files = good(20)
    corpus = write_files(tmp_path / "corpus", files)
    shard = Shard(0, tuple((name, "listed") for name in files), (), True, 2)
    job = job_for(corpus, tmp_path / "table")
    result = extract_suspects(job, shard, ignore_file, LIMIT, is_over=lambda: True)
    left = result.unfinished
    assert left is not None
    assert (result.n_files + len(left), left.is_suspect, left.n_deaths) == (20, True, 2)
    assert {name for name, _ in left.files} < set(files)
    assert 0 < result.n_files < 20


class UnpicklableError(OSError):
    """An error of a store that cannot be sent to another process."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.lock = threading.Lock()


def test_an_error_that_cannot_be_pickled_is_not_the_files(tmp_path: Path) -> None:
    parent, theirs = multiprocessing.Pipe()
    tell(theirs, UnpicklableError("the table is gone"))
    what, error = parent.recv()
    assert (what, str(error)) == ("error", "UnpicklableError: the table is gone")


def test_a_child_that_does_not_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "broken"
    write_files(broken, {"jobs/__init__.py": "raise ImportError('no such library')"})
    monkeypatch.setattr("jobs.execution.suspects.python_path", lambda: str(broken))
    with pytest.raises(ClusterError) as raised:
        extract(tmp_path, good(1))
    assert str(raised.value) == (
        "a child process of a worker does not start: ImportError: no such library"
    )


def test_a_child_with_too_little_memory_for_any_file(tmp_path: Path) -> None:
    corpus = write_files(tmp_path / "corpus", good(1))
    shard = Shard(0, (("00.wav", "listed"),), (), True)
    with pytest.raises(ClusterError, match="before its first file, and may use 20 MB: give it"):
        extract_suspects(job_for(corpus, tmp_path / "table"), shard, ignore_file, 20 * 10**6)


def test_a_child_dies_with_its_worker(tmp_path: Path) -> None:
    gate = Gate(tmp_path / "gate")
    files = {"a.wav": f"gate {gate.folder}"}
    program = (
        "import sys; from pathlib import Path;"
        "from tests.jobs.execution.test_suspects import extract;"
        f"extract(Path({str(tmp_path)!r}), {files!r})"
    )
    with running([sys.executable, "-c", program], tmp_path) as worker:
        wait_until(lambda: gate.pids or not worker.is_running, "a file at the gate")
        [child] = [psutil.Process(pid) for pid in gate.pids]
        assert child.ppid() == worker.process.pid
        assert os.getpgid(child.pid) == child.pid
        worker.process.kill()
        wait_until_gone([child], 10)


@pytest.mark.slow
def test_a_shard_of_several_children(tmp_path: Path) -> None:
    before = threading.active_count()  # other tests have left some
    result = extract(tmp_path, good(40) | {"20.wav": "exit 1"})
    assert (result.n_files, [f.path for f in result.failures]) == (39, ["20.wav"])
    assert threading.active_count() < before + 15

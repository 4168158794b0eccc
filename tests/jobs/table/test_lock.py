"""One driver at a time, in processes of their own: the kernel's lock, and leases in real time."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.errors import EXIT_BUSY, TableBusyError, UsageError
from jobs.storage.opening import open_store
from jobs.table.lock import write_lock
from tests.conftest import S3


def test_other_storage_is_refused(tmp_path: Path) -> None:
    with (
        pytest.raises(UsageError, match="--single-writer"),
        write_lock(open_store("memory://x"), "a"),
    ):
        pass


_HOLDER = """
import sys, time
from jobs.table.lock import write_lock
from jobs.storage.opening import open_store
with write_lock(open_store(sys.argv[1]), "child", period_s=float(sys.argv[2])) as guard:
    print("held", flush=True)
    for line in sys.stdin:
        try:
            guard.check()
            print("fine", flush=True)
        except Exception as error:
            print(type(error).__name__, flush=True)
"""


@contextlib.contextmanager
def holder(
    url: str, period_s: float, env: dict[str, str] | None = None
) -> Iterator[subprocess.Popen[str]]:
    """Hold a table in another process."""
    with subprocess.Popen(
        [sys.executable, "-c", _HOLDER, url, str(period_s)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=env,
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "held\n"
            yield process
        finally:
            process.kill()


def asked(process: subprocess.Popen[str]) -> str:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("\n")
    process.stdin.flush()
    return process.stdout.readline().strip()


@pytest.fixture
def s3_environment(s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in s3.env.items():
        monkeypatch.setenv(name, value)


@pytest.mark.slow  # in real time
@pytest.mark.usefixtures("s3_environment")
def test_a_holder_that_is_killed(s3: S3) -> None:
    url = f"s3://{s3.bucket()}/t"
    with holder(url, 1.0) as process:
        with (
            pytest.raises(TableBusyError, match="run child"),
            write_lock(open_store(url), "second"),
        ):
            pass
        process.kill()
        process.wait()
        with write_lock(open_store(url), "second") as guard:
            guard.check()


@pytest.mark.slow  # in real time
@pytest.mark.usefixtures("s3_environment")
def test_a_holder_that_is_stopped_and_goes_on(s3: S3) -> None:
    url = f"s3://{s3.bucket()}/t"
    with holder(url, 1.0) as process:
        assert asked(process) == "fine"
        process.send_signal(signal.SIGSTOP)
        with write_lock(open_store(url), "second", period_s=1.0) as guard:
            process.send_signal(signal.SIGCONT)
            assert asked(process) == "TableBusyError"
            guard.check()
        assert asked(process) == "TableBusyError"


@pytest.mark.slow  # in real time
@pytest.mark.usefixtures("s3_environment")
def test_a_holder_that_is_stopped_for_a_while_only(s3: S3) -> None:
    url = f"s3://{s3.bucket()}/t"
    with holder(url, 1.0) as process:
        process.send_signal(signal.SIGSTOP)
        time.sleep(1.5)  # the time is the point: longer than a whole period, with no newcomer
        process.send_signal(signal.SIGCONT)
        assert asked(process) == "fine"


def test_the_lock_of_a_folder(tmp_path: Path) -> None:
    url = str(tmp_path / "table")
    with holder(url, 1.0) as process:
        with (
            pytest.raises(TableBusyError, match=rf"run child, process {process.pid} on ") as caught,
            write_lock(open_store(url), "second"),
        ):
            pass
        assert caught.value.exit_code == EXIT_BUSY
        process.send_signal(signal.SIGSTOP)
        with pytest.raises(TableBusyError), write_lock(open_store(url), "second"):
            pass  # stopped is not dead: the kernel knows
        process.kill()
        process.wait()
        with write_lock(open_store(url), "second") as guard:
            guard.check()
        with write_lock(open_store(url), "third"):
            pass

"""What native code writes to the terminal is caught, by descriptor, and given back."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from jobs.execution.native import captured_output


@pytest.mark.parametrize("descriptor", [1, 2])
def test_what_is_written_is_caught_piece_by_piece(
    capfd: pytest.CaptureFixture[str], descriptor: int
) -> None:
    os.write(descriptor, b"before\n")
    with captured_output() as take:
        assert take() == ""
        os.write(descriptor, b"warning: \xff\n")
        assert take() == "warning: \N{REPLACEMENT CHARACTER}"
        assert take() == ""
        os.write(descriptor, b"x" * 10_000)
        assert take() == "x" * 4000  # a noisy decoder does not fill the log
        os.write(1, b"next ")
        os.write(2, b"and last")
        assert take() == "next and last"
    os.write(descriptor, b"after\n")
    assert capfd.readouterr()[descriptor - 1] == "before\nafter\n"


_C_OUTPUT = """
import ctypes, os, sys
from jobs.execution.native import captured_output
libc = ctypes.CDLL(None)
libc.printf(b"before\\n")
with captured_output() as take:
    libc.printf(b"held back\\n")
    assert take() == "held back"
    libc.printf(b"unasked for\\n")
libc.printf(b"after\\n")
"""


def test_what_c_holds_back_comes_out_where_it_was_said() -> None:
    line = [sys.executable, "-c", _C_OUTPUT]
    result = subprocess.run(line, capture_output=True, text=True, check=True)
    assert result.stdout == "before\nafter\n"


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_a_process_without_a_terminal_keeps_its_files(tmp_path: Path, closed: str) -> None:
    code = f"""
import os, sys
from jobs.execution.native import captured_output
files = [open(name, "w") for name in {[str(tmp_path / name) for name in "ab"]}]
with captured_output() as take:
    for file in files:
        file.write("mine")
        file.flush()
    assert take() == ""
"""
    line = f'exec "$1" -c "$2" {closed}'
    subprocess.run(["sh", "-c", line, "sh", sys.executable, code], check=True)
    assert [(tmp_path / name).read_text() for name in "ab"] == ["mine", "mine"]


def test_the_descriptor_comes_back_after_an_error(capfd: pytest.CaptureFixture[str]) -> None:
    with contextlib.suppress(ValueError), captured_output():
        os.write(2, b"lost\n")
        raise ValueError
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "after\n"


def test_captures_may_overlap(capfd: pytest.CaptureFixture[str]) -> None:
    inside, leave = threading.Event(), threading.Event()

    def other() -> None:
        with captured_output():
            inside.set()
            leave.wait(10)
            os.write(2, b"from the other\n")

    thread = threading.Thread(target=other)
    with captured_output():
        thread.start()
        assert inside.wait(10)
    os.write(2, b"still caught\n")  # the other one's capture goes on
    leave.set()
    thread.join(10)
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "after\n"


def test_no_descriptor_is_leaked() -> None:
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(100):
        with captured_output():
            pass
    assert len(os.listdir("/proc/self/fd")) < before + 100  # others come and go meanwhile


def test_blocks_of_memory_are_used_again_where_malloc_was_told_to_give_them_back() -> None:
    code = """
import resource, sys
import numpy as np
from jobs.execution.native import keep_freed_memory
if sys.argv[1] == "keep":
    keep_freed_memory()
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(3):
    np.ones(200_000, np.uint8)
before = faults()
for _ in range(200):
    np.ones(200_000, np.uint8)
print(faults() - before)
"""
    environment = {**os.environ, "MALLOC_TRIM_THRESHOLD_": "65536"}
    found = {}
    for what in ("keep", "trim"):
        command = [sys.executable, "-c", code, what]
        result = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=True
        )
        found[what] = int(result.stdout)
    assert found["keep"] < 0.1 * found["trim"]

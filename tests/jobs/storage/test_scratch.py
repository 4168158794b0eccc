"""Temporary files: in memory, on disk, and on a disk that is full."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from jobs.errors import JobError, ScratchError
from jobs.storage.scratch import spooled_file, temporary_file
from tests.support.full_disk import on_a_small_disk


def test_a_temporary_file_has_no_name_and_reads_back(tmp_path: Path) -> None:
    with temporary_file() as file:
        file.write(b"12345")
        file.seek(1)
        assert file.read(2) == b"23"
        assert os.fstat(file.fileno()).st_nlink == 0


@pytest.mark.parametrize("n_bytes", [3, 100])
def test_a_file_is_the_same_in_memory_and_on_disk(n_bytes: int) -> None:
    with spooled_file(n_bytes) as file:
        for data in (b"12", b"34", b"56"):
            file.write(data)
        assert file.tell() == 6
        file.seek(2)
        file.write(b"x")
        file.seek(0)
        assert file.read() == b"12x456"


def test_no_folder_for_temporary_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: ["/nowhere", "/dev/null"])
    with pytest.raises(ScratchError) as caught:
        temporary_file()
    assert str(caught.value) == (
        "temporary files cannot be written: No usable temporary directory found in ['/nowhere',"
        " '/dev/null']; make room there, or set TMPDIR to a folder that has some"
    )
    assert isinstance(caught.value, JobError)


def test_a_full_disk(tmp_path: Path) -> None:
    code = """
import sys, tempfile
from jobs.errors import ScratchError
from jobs.storage.scratch import spooled_file, temporary_file
for file in (temporary_file(), spooled_file(100)):
    try:
        file.write(b"x" * 100_000)
        file.flush()
    except ScratchError as error:
        print(error)
"""
    result = on_a_small_disk(tmp_path, "64k", "-c", code, TMPDIR=str(tmp_path))
    assert result.stdout.splitlines() == 2 * [
        (
            f"temporary files cannot be written in {tmp_path}: No space left on device; make room"
            " there, or set TMPDIR to a folder that has some"
        )
    ], result.stderr

"""What surrounds the command and may be broken: its output, its folder, its disks."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import featurelib
import jobs
from jobs.cli import main
from jobs.cli.streams import name_errors_of_output
from tests.support.audio_files import write_tone
from tests.support.full_disk import on_a_small_disk
from tests.support.light import FEATURELIB, command, errors, run, write

FULL = (
    "featurelib: standard output cannot be written: No space left on device; make room where it"
    " goes, or send it elsewhere"
)


def shell(script: str, *arguments: str | Path) -> tuple[int, str]:
    """Run a script, in which ``"$@"`` is the command; return its exit code and its last words."""
    line = ["sh", "-c", script, "sh", FEATURELIB, *map(os.fspath, arguments)]
    result = subprocess.run(line, capture_output=True, text=True, check=False)
    return result.returncode, result.stdout + result.stderr


@pytest.fixture
def on_full_output(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str]]:
    """Give a function that runs the command in this process, with standard output on /dev/full."""

    def invoke(*arguments: str | Path) -> tuple[int, str]:
        kept = os.dup(1)
        with open(1, "w", closefd=False) as own, open("/dev/full", "wb") as full:
            monkeypatch.setattr("sys.stdout", own)
            monkeypatch.setattr("sys.__stdout__", own)
            name_errors_of_output()
            os.dup2(full.fileno(), 1)
            try:
                with pytest.raises(SystemExit) as ended:
                    main([*map(os.fspath, arguments)])
            finally:
                sys.stdout.flush()  # goes nowhere by now
                monkeypatch.undo()
                os.dup2(kept, 1)
                os.close(kept)
        assert isinstance(ended.value.code, int)
        return ended.value.code, capfd.readouterr().err

    return invoke


def test_a_full_disk_behind_the_output(
    tmp_path: Path, on_full_output: Callable[..., tuple[int, str]]
) -> None:
    write(tmp_path / "music" / "a.wav")
    run(tmp_path / "music", tmp_path / "t")
    for line in (
        ("status", tmp_path / "t"),
        ("status", tmp_path / "t", "--json"),
        ("errors", tmp_path / "t", "--csv"),
        ("describe", "genre-v1"),
        ("describe", "genre-v1", "--csv"),
        ("presets",),
        ("--help",),
    ):
        assert on_full_output(*line) == (1, f"{FULL}\n"), line
    line = ("extract", tmp_path / "music", "-o", tmp_path / "t", "--preset", "tutorial-v1")
    assert on_full_output(*line, "--json") == (1, f"{FULL} (the table is published)\n")
    assert on_full_output(*line, "--json", "--dry-run") == (1, f"{FULL}\n")


def test_a_full_disk_behind_the_output_of_a_process() -> None:
    """Python tells of what is left in the buffer when it exits, unless it is told not to."""
    assert shell('"$@" > /dev/full', "presets") == (1, f"{FULL}\n")


@pytest.mark.slow
def test_a_full_disk_behind_standard_error(tmp_path: Path) -> None:
    code, _ = shell('"$@" 2> /dev/full', "extract", tmp_path / "nowhere", "-o", tmp_path / "t")
    assert code == 1
    write(tmp_path / "music" / "a.wav")
    line = ("extract", tmp_path / "music", "-o", tmp_path / "t", "--cluster", "inline")
    code, _ = shell('"$@" 2> /dev/full', *line, "--preset", "tutorial-v1")  # with progress
    assert code == 0
    assert errors(tmp_path / "t") == {"a.wav": "undecodable"}


@pytest.mark.slow
def test_no_folder_for_compiled_kernels(tmp_path: Path) -> None:
    """One line, though each of the two workers compiles."""
    code = tmp_path / "code"
    ignored = shutil.ignore_patterns("__pycache__")
    for package in (featurelib, jobs):
        folder = Path(package.__file__).parent
        shutil.copytree(folder, code / folder.name, ignore=ignored)
    (code / "featurelib" / "kernels" / "__pycache__").touch()  # in the way
    write_tone(tmp_path / "music" / "a.wav", seconds=0.3)
    nowhere = dict.fromkeys(("HOME", "XDG_CACHE_HOME"), "/dev/null")
    env = {**os.environ, **nowhere, "NUMBA_CACHE_DIR": "/dev/null/x", "PYTHONPATH": str(code)}
    env["PYTHONDONTWRITEBYTECODE"] = "1"
    config = write(tmp_path / "rms.toml", "[spec]\nfeatures = ['rms']\n")  # few kernels
    line = ("extract", tmp_path / "music", "-o", tmp_path / "t", "--workers", "2", "-q")
    result = command(*line, "--config", config, env=env)
    assert (result.returncode, result.stdout) == (0, "")
    assert result.stderr == (
        "featurelib: compiled kernels cannot be kept on disk, so each process compiles them, which"
        " takes about 20 s: set NUMBA_CACHE_DIR to a folder that can be written and has room\n"
    )


@pytest.fixture
def many_files(tmp_path: Path) -> Path:
    """Give a corpus whose listing does not fit into a page of memory."""
    for i in range(200):
        write(tmp_path / "music" / f"a file with a long name {i:03d}.wav", "no audio")
    return tmp_path / "music"


@pytest.mark.parametrize("options", [(), ("--dry-run",)])
def test_a_full_folder_for_temporary_files(
    many_files: Path, tmp_path: Path, options: tuple[str, ...]
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    line = ("extract", many_files, "-o", tmp_path / "t", "--cluster", "inline", *options)
    result = on_a_small_disk(disk, "4k", FEATURELIB, *line, "-q", TMPDIR=str(disk))
    assert (result.returncode, result.stdout, result.stderr) == (
        1,
        "",
        (
            f"featurelib: temporary files cannot be written in {disk}: No space left on device;"
            " make room there, or set TMPDIR to a folder that has some\n"
        ),
    )


@pytest.mark.parametrize(
    ("size", "options", "who"),
    [
        ("8k", ("--cluster", "inline"), ""),
        ("64k", ("--cluster", "inline"), "a worker cannot write to "),
        pytest.param("64k", (), "a worker cannot write to ", marks=pytest.mark.slow),
    ],
)
def test_a_full_disk_of_the_table(
    many_files: Path, tmp_path: Path, size: str, options: tuple[str, ...], who: str
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    line = ("extract", many_files, "-o", disk / "t", "--preset", "tutorial-v1", "-q", *options)
    result = on_a_small_disk(disk, size, FEATURELIB, *line)
    assert (result.returncode, result.stdout, result.stderr) == (
        1,
        "",
        (
            f"featurelib: {who}{disk}/t: No space left on device; make room there and run the same"
            " command again, which uses the finished work\n"
        ),
    )


def test_a_working_folder_that_was_deleted(tmp_path: Path) -> None:
    folder = tmp_path / "x"
    folder.mkdir()
    script = f'cd {folder} && rmdir {folder} && "$@"'
    expected = (1, "featurelib: the working folder was deleted: go to another one (cd)\n")
    assert shell(script, "status", "t") == expected

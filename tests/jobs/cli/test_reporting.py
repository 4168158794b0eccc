"""The command report, as a user meets it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.jobs.report import tables
from tests.support.audio_files import write_audio
from tests.support.light import command, invoke


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("table")
    for i in range(4):
        write_audio(folder / "corpus" / f"{i}.wav", tables.sound("tones", i, seconds=0.3))
    (folder / "corpus" / "empty.wav").write_bytes(b"")
    return tables.make_table(folder / "corpus", folder / "table")


def test_it_says_what_is_on_the_page(table: Path, tmp_path: Path) -> None:
    done = invoke("report", table, "--output", tmp_path / "report.html")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0].startswith(f"{tmp_path}/report.html: 4 files, 1 error, ")
    assert "problem: Files without features (1 of 5 files)" in lines
    page = (tmp_path / "report.html").read_text("utf-8")
    assert page.startswith("<!DOCTYPE html>")


def test_json(table: Path, tmp_path: Path) -> None:
    output = tmp_path / "report.html"
    found = json.loads(invoke("report", table, "-o", output, "--json").stdout)
    assert found["output"] == str(output)
    assert found["bytes"] == output.stat().st_size
    assert (found["files"], found["errors"], found["accuracy"]) == (4, 1, None)
    [unusable] = [one for one in found["findings"] if one["kind"] == "unusable"]
    assert (unusable["severity"], unusable["count"], unusable["total"]) == ("problem", 1, 5)
    assert unusable["examples"][0]["path"] == "empty.wav"


def test_slips(table: Path, tmp_path: Path) -> None:
    for arguments, message in (
        (["report", table], "missing option '-o' / '--output'"),
        (["report", table, "--outptu", "x.html"], "did you mean '--output'?"),
        (["report", table, "--output", tmp_path], "is a folder: give a file, such as"),
        (["reprot", table], "did you mean 'report'?"),
    ):
        done = invoke(*arguments)
        assert done.returncode == 2, message
        assert message.lower() in done.stderr.lower()
        assert len(done.stderr.splitlines()) == 1


def test_what_is_no_table(tmp_path: Path) -> None:
    done = invoke("report", tmp_path / "none", "--output", tmp_path / "x.html")
    assert done.returncode == 1
    assert "there is no table at" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_an_existing_file_needs_force(table: Path, tmp_path: Path) -> None:
    output = tmp_path / "report.html"
    output.write_text("mine")
    done = invoke("report", table, "--output", output)
    assert done.returncode == 2
    assert "--force" in done.stderr
    assert output.read_text() == "mine"
    assert invoke("report", table, "--output", output, "--force").returncode == 0
    assert output.read_text("utf-8").startswith("<!DOCTYPE")


def test_a_folder_that_cannot_be_written(table: Path, tmp_path: Path) -> None:
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o555)
    done = command("report", table, "--output", folder / "report.html", unprivileged=True)
    assert done.returncode == 1
    assert f"cannot write {folder}/report.html: Permission denied" in done.stderr


def test_a_missing_library_is_named(
    table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "altair", None)
    done = invoke("report", table, "--output", tmp_path / "report.html")
    assert done.returncode == 1
    assert "altair is not installed: pip install 'featurelib[report]'" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_report_leaves_nothing(
    table: Path, tmp_path: Path, number: int, code: int
) -> None:
    """The signal comes when the unfinished file is there."""
    stop = (
        "import os, signal, sys, jobs.cli, jobs.report.writing as w\n"
        f"w.render = lambda report: os.kill(os.getpid(), {number}) or signal.pause()\n"
        "jobs.cli.main(sys.argv[1:])"
    )
    line = [sys.executable, "-c", stop, "report", str(table), "-o", str(tmp_path / "r.html")]
    done = subprocess.run(line, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == code
    assert list(tmp_path.iterdir()) == []


def test_help_is_light() -> None:
    code = (
        "import sys; from jobs.cli import main\n"
        "try: main(['report', '--help'])\n"
        "except SystemExit: print(*{'pandas', 'pyarrow', 'altair', 'sklearn'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "Exit codes" in done.stdout
    assert done.stdout.splitlines()[-1] == ""

"""Runs that are published, but could not read some files."""

from __future__ import annotations

import functools
import json
import subprocess
from pathlib import Path

import pytest

import jobs.execution.opening
import jobs.request
from jobs.request import RunRequest
from tests.support import doubles, driver, light
from tests.support.tables import write_files

FULL = "cannot keep the state of a long signal in /scratch: No space left on device"


@pytest.fixture
def corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a folder for a corpus whose files say what happens; the command takes them so."""
    extracting = functools.partial(RunRequest, extractor=doubles.by_content)
    monkeypatch.setattr(jobs.request, "RunRequest", extracting)
    monkeypatch.setattr(jobs.execution.opening, "executor_opener", lambda *_, **__: light.inline)
    return tmp_path / "corpus"


def extract(corpus: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return light.invoke(
        *("extract", corpus, "-o", corpus.parent / "table", "--preset", "tutorial-v1", *options)
    )


def test_files_that_could_not_be_read(corpus: Path) -> None:
    files = {f"{i}.wav": f"play {i}" for i in range(3)} | {"3.wav": "bad 3"}
    write_files(corpus, files | {"4.wav": f"unreadable {FULL}", "5.wav": "unreadable"})
    result = extract(corpus, "--quiet")
    line = (
        "featurelib: the table is published, but 2 of 6 files could not be read"
        f" (4.wav: unreadable, {FULL}): run the same command again\n"
    )
    assert (result.returncode, result.stdout, result.stderr) == (4, "", line)
    assert len(light.features(corpus.parent / "table")["path"].unique()) == 3

    result = extract(corpus, "--json")  # they are tried again
    report = json.loads(result.stdout)
    assert (result.returncode, report["status"], report["unread"]) == (4, "done", 2)
    assert "2 of 2 files could not be read" in result.stderr

    write_files(corpus, {"4.wav": "play 4", "5.wav": "bad 5"})
    result = extract(corpus, "--quiet")
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_without_quiet_the_line_comes_last(corpus: Path) -> None:
    write_files(corpus, {"a.wav": "play", "b.wav": "unreadable"})
    result = extract(corpus)
    assert result.returncode == 4
    assert "1 of 2 files failed: 1 unreadable" in result.stdout
    assert result.stderr.splitlines()[-1].startswith("featurelib: the table is published, but 1 of")


@pytest.mark.parametrize(("n_vanished", "code"), [(1, 0), (2, 0), (3, 4)])
def test_files_that_vanish_while_the_run_reads(corpus: Path, n_vanished: int, code: int) -> None:
    """One file may go; if more than a tenth of them go, the corpus itself may be gone."""
    gone = {f"gone{i}.wav": "play" for i in range(n_vanished)}
    first = "remove " + " ".join(str(corpus / name) for name in gone)
    files = {f"{i:02d}.wav": "play" for i in range(20 - n_vanished)}
    write_files(corpus, files | gone | {"00.wav": first.ljust(2000)})  # the largest comes first
    assert extract(corpus, "--quiet").returncode == code


def test_the_report_says_it_in_python(tmp_path: Path) -> None:
    corpus = write_files(tmp_path / "corpus", {"a.wav": "play", "b.wav": "unreadable"})
    report = driver.run_inline(driver.request_for(corpus, tmp_path / "table"))
    assert (report.status, report.exit_code, report.n_unread) == ("done", 4, 1)
    report = driver.run_inline(driver.request_for(corpus, tmp_path / "t", max_failed=0.0))
    assert (report.status, report.exit_code, report.unread_line()) == ("held", 3, "")

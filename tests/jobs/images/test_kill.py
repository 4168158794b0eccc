"""A run that dies at any moment, then the same command again: one whole image a good file."""

from __future__ import annotations

import itertools
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from jobs.request import RunRequest
from tests.jobs.images.corpora import (
    SIZE,
    assert_consistent,
    images,
    index,
    request,
    run,
    write_tones,
)
from tests.support import driver
from tests.support.quick import slow_but

SETTINGS: dict[str, Any] = {"labels": "parent", "max_deleted": 1.0, "buckets": 2}


class Scenario:
    """A run over a corpus in which files came, went, changed and moved since the one before."""

    def __init__(self, top: Path, *, is_first: bool) -> None:
        self.top, self.corpus, self.table = top, top / "music", top / "table"
        names = [f"{label}/{i}.wav" for label in ("rock", "pop") for i in range(3)]
        write_tones(self.corpus, *names)
        (self.corpus / "rock/bad.wav").write_bytes(b"nothing")
        self.before: Path | None = None
        if not is_first:
            self.before = top / "before"
            run(self.corpus, self.before, **SETTINGS)
            write_tones(self.corpus, "jazz/new.wav", "rock/0.wav", seconds=0.3)
            (self.corpus / "rock/1.wav").unlink()
            (self.corpus / "rock/2.wav").rename(self.corpus / "pop/moved.wav")
            (self.corpus / "pop/0.wav").write_bytes(b"nothing")
            write_tones(self.corpus, "rock/bad.wav")
        run(self.corpus, top / "undisturbed", **SETTINGS)
        self.n_files = sum(path.is_file() for path in self.corpus.rglob("*"))

    @property
    def request(self) -> RunRequest:
        return request(self.corpus, self.table, **SETTINGS)

    def check_deaths(self, run_and_die: Callable[..., Any], first: int, step: int) -> int:
        """Kill the run at its first, second, … opportunity until there is none; count them."""
        for n in itertools.count(first, step):
            shutil.rmtree(self.table, ignore_errors=True)
            if self.before is not None:
                shutil.copytree(self.before, self.table)
            code = driver.exit_code_of(run_and_die, self.request, n)
            assert code in (0, -signal.SIGKILL)
            if code == 0:
                return n - 1
            self.run_again()
        raise AssertionError

    def run_again(self) -> None:
        report = driver.run_inline(self.request)
        assert report.notes == []
        assert report.n_files + report.n_errors == self.n_files
        assert_consistent(self.table)
        assert images(self.table) == images(self.top / "undisturbed")
        wanted = index(self.top / "undisturbed")
        columns = ["path", "label", "image", "image_bytes", "source_version"]
        assert index(self.table)[columns].equals(wanted[columns])
        assert driver.run_inline(self.request).n_read == 0


@pytest.fixture(scope="module", params=slow_but(["incremental"], ["first", "incremental"]))
def scenario(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Scenario:
    top = tmp_path_factory.mktemp(request.param)
    return Scenario(top, is_first=request.param == "first")


@pytest.mark.parametrize("stride", slow_but([11], [2, 11]))
def test_killed_at_each_step(scenario: Scenario, stride: int) -> None:
    assert scenario.check_deaths(driver.run_killed_at_step, stride, stride) > 7


@pytest.mark.slow
@pytest.mark.parametrize("stride", [5, 47])
def test_killed_before_a_change_of_a_file(scenario: Scenario, stride: int) -> None:
    assert scenario.check_deaths(driver.run_killed_at_write, stride, stride) >= 47


@pytest.mark.slow
def test_killed_over_real_recordings(real_audio: Path, tmp_path: Path) -> None:
    """The command with its worker processes, killed in the middle by SIGKILL, then again."""
    table = tmp_path / "pictures"
    size = [f"--{name}={value}" for name, value in SIZE.items()]
    command = ("spectrograms", real_audio, "-o", table, "--labels", "parent", *size)
    with driver.started(*command, "--workers=2", folder=tmp_path, options=("--real",)) as first:
        driver.wait_until(
            lambda: not first.is_running or len(list(table.glob("images/**/*.png"))) > 30,
            "images of the first run",
        )
        assert first.is_running
        family = first.family()
        for process in family:
            process.kill()
        psutil.wait_procs(family)
    n_left = len(images(table)) if table.exists() else 0
    assert n_left > 30
    with driver.started(*command, "--workers=2", folder=tmp_path, options=("--real",)) as again:
        assert again.wait() == 0, again.stderr
    assert_consistent(table)
    run(real_audio, tmp_path / "undisturbed", labels="parent")
    assert images(table) == images(tmp_path / "undisturbed")
    assert len(index(table)) > 300

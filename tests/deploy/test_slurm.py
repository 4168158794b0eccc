"""The batch script, submitted to a real Slurm: its driver submits workers, and makes the table."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs import extract_corpus
from tests.deploy.loopback import certificates, replaced
from tests.support.audio_files import make_corpus
from tests.support.driver import ROOT
from tests.support.slurm import Slurm, running_slurm
from tests.support.tables import assert_same_table, assert_tidy

FOLDER = ROOT / "deploy" / "slurm"

#: The real node is this machine, with two cores: one for the driver and one for a worker.
SMALLER = {"normal": "main", "cores = 4": "cores = 1", "8GB": "1GB", "04:00:00": "00:30:00"}


@pytest.fixture
def slurm(tmp_path: Path) -> Iterator[Slurm]:
    with running_slurm(tmp_path / "slurm") as slurm:
        yield slurm


def filled_in(name: str, places: dict[str, str], folder: Path) -> None:
    [text] = replaced([(FOLDER / name).read_text()], places)
    (folder / name).write_text(text)


@pytest.mark.programs
def test_the_batch_script_makes_a_table(
    slurm: Slurm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, corpus, table = (tmp_path / name for name in ("home", "music", "table"))
    make_corpus(corpus, {"rock": 4, "jazz": 4})
    program = home / "featurelib" / ".venv" / "bin" / "featurelib"
    program.parent.mkdir(parents=True)
    program.write_text(f"#!{sys.executable}\nimport jobs.cli\njobs.cli.main()\n")
    program.chmod(0o755)
    certificates(home / ".config" / "featurelib" / "tls")
    places = {"=normal": "=main", "/shared/music": str(corpus), "/shared/tables/music": str(table)}
    filled_in("nightly.sbatch", places, home)
    filled_in("featurelib.toml", SMALLER, home)

    for name, value in {"HOME": str(home), "PYTHONPATH": str(ROOT)}.items():
        monkeypatch.setenv(name, value)
    line = ["sbatch", "--parsable", "--time=30", "--mem=1G", "nightly.sbatch"]
    monkeypatch.setenv("SLURM_CONF", str(slurm.conf))
    done = subprocess.run(line, cwd=home, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    number = done.stdout.strip()
    slurm.wait_until_empty(240)
    log = (home / f"featurelib-{number}.log").read_text()
    assert "8 files with features, 0 failed" in log
    assert slurm.states()[number] == "COMPLETED"
    assert len(slurm.states()) >= 2  # the driver's job, and its workers'
    assert_tidy(table)
    extract_corpus(corpus, tmp_path / "here", labels="parent", cluster="inline")
    assert_same_table(table, tmp_path / "here")

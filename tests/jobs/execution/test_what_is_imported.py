"""What only serves checks, plots and models costs no run its memory or its time."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import distributed
import pytest

from jobs.api import extract_corpus
from tests.support.audio_files import write_tone
from tests.support.quick import slow_but

HEAVY = {"librosa", "sklearn", "matplotlib", "IPython"}

_EXTRACT = """
import json, sys
from jobs.cli import cli
cli.main(sys.argv[1:], prog_name="featurelib", standalone_mode=False)
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""


def loaded() -> set[str]:
    """Return the packages that this process has imported."""
    return {name.partition(".")[0] for name in sys.modules}


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    folder = tmp_path / "music"
    folder.mkdir()
    write_tone(folder / "a.wav")
    return folder


def test_by_a_worker(corpus: Path, tmp_path: Path) -> None:
    with (
        distributed.LocalCluster(
            n_workers=1, threads_per_worker=1, host="127.0.0.1", dashboard_address=None
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        report = extract_corpus(corpus, tmp_path / "table", client=client)
        assert report.n_files == 1
        [packages] = client.run(loaded).values()
    assert {"featurelib", "numba", "pyarrow"} <= packages
    assert not packages & HEAVY


@pytest.mark.parametrize("cluster", slow_but(["inline"], ["inline", "local"]))
def test_by_the_command(corpus: Path, tmp_path: Path, cluster: str) -> None:
    arguments = ["extract", str(corpus), "-o", str(tmp_path / "t"), "--cluster", cluster]
    done = subprocess.run(
        [sys.executable, "-c", _EXTRACT, *arguments, "--workers", "1", "--quiet"],
        capture_output=True,
        text=True,
        check=True,
    )
    packages = set(json.loads(done.stdout.splitlines()[-1]))
    assert not packages & HEAVY
    assert ("distributed" in packages) == (cluster == "local")

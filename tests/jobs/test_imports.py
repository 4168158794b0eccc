"""A spec with features of a user's own, through the whole job."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from featurelib import SpecError
from jobs.execution.context import TaskContext, spec_of
from tests.featurelib.support.signals import chord, encode
from tests.support import own_features
from tests.support.light import command, invoke


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """A table of an own feature; the code that made it is gone."""
    place = tmp_path_factory.mktemp("own")
    (place / "music").mkdir()
    for i in range(3):
        (place / "music" / f"{i}.wav").write_bytes(encode(chord(0.2 * (i + 1))))
    config = own_features.write(place)
    arguments = ("extract", place / "music", "--output", place / "table", "--config", config)
    made = command(*arguments, "--workers", "1")
    assert made.returncode == 0, made.stderr
    (place / "own.py").unlink()
    return place / "table"


def test_workers_compute_it(table):
    rows = pd.read_parquet(table / "features")
    assert len(rows) == 3
    assert (rows["spectral_max_max"] > 1).all()


def test_opening_and_describing_run_no_code(table):
    """The code is not there, so it cannot have been run; nor is what table.json names."""
    marker = table.parent / "was_run"
    values = json.loads((table / "_job/table.json").read_text())
    evil = table.parent / "evil.py"
    evil.write_text(f"open({str(marker)!r}, 'w')")
    values["spec"]["import"] = [str(evil), {"file": str(evil), "sha256": "0" * 64}]
    (table / "_job/table.json").write_text(json.dumps(values))
    for line in (["status"], ["describe"], ["errors"], ["errors", "--partial"]):
        done = invoke(*line, table)
        assert done.returncode == 0, done.stderr
    assert "spectral_max_max" in invoke("describe", table).stdout
    assert "3 unchanged" in invoke("status", table).stdout
    assert not marker.exists()


def test_a_worker_takes_no_other_code_than_the_specs(tmp_path):
    from jobs.table.metadata import RecordedSpec
    from tests.featurelib.specs.test_imports import spec_in

    spec = spec_in(tmp_path)
    recorded = RecordedSpec.of(spec)
    [digest] = spec.sources
    job = TaskContext(
        run_id="another",
        corpus="",
        table="",
        spec=recorded.values,
        code_version="",
        origin=None,  # type: ignore[arg-type]
        sources={digest: own_features.SOURCE + "# changed on the way"},
    )
    with pytest.raises(SpecError, match="not the one that the spec was made with"):
        spec_of(job)

"""``make demo`` runs to its end and leaves what it says."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.docs.commands import shell
from tests.docs.markdown import TOP


@pytest.mark.slow
def test_the_demo(tmp_path: Path) -> None:
    said = shell("python -m jobs.demo", tmp_path)
    demo = tmp_path / "demo"
    commands = re.findall(r"^\$ (.+)$", said, re.MULTILINE)
    names = [line.split()[1] for line in commands if line.startswith("featurelib ")]
    assert names == ["plot", "extract", "errors", "extract", "export", "report", "train"]
    [accuracy] = re.findall(r"accuracy[: ]+([\d.]+)", said)
    assert float(accuracy) >= 0.95
    for name in ("folk.png", "report.html", "genres.model", "features_30_sec.csv"):
        assert (demo / name).stat().st_size > 1000, name
    assert f"open {demo / 'report.html'} in a browser" in said

    again = shell("python -m jobs.demo", tmp_path)
    assert "corpus is here already, and kept" in again
    assert "Everything is up to date" in again

    shown = TOP / "docs" / "images" / "folk.png"
    assert shown.stat().st_size < 150_000
    with Image.open(shown) as a, Image.open(demo / "folk.png") as b:
        assert a.size == b.size
        pixels = [np.asarray(picture.convert("L"), float) for picture in (a, b)]
    assert np.abs(pixels[0] - pixels[1]).mean() < 2, "the README shows another picture"

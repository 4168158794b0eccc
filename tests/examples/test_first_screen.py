"""The first screen of the README shows what the demo gives."""

from __future__ import annotations

import io
from pathlib import Path

import pandas as pd

from tests.docs.markdown import titled


def test_the_head_is_that_of_the_demo(table: Path) -> None:
    shown = pd.read_csv(io.StringIO(titled("README.md", "head")), sep=r"\s+")
    found = pd.read_parquet(table / "features", columns=list(shown.columns)).head()
    pd.testing.assert_frame_equal(found, shown, check_dtype=False, rtol=1e-4)

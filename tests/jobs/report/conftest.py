"""Tables that several tests of reports read; they are not changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.jobs.report import tables


@pytest.fixture(scope="session")
def small_table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a table of two kinds of sounds, and two files that failed."""
    return tables.small_table(tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="session")
def hostile_table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a table with hostile names and labels."""
    return tables.hostile_table(tmp_path_factory.mktemp("hostile"))

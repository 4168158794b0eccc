"""A library of an extra that is not installed is named, with what to type."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from featurelib import MissingExtraError
from featurelib.extras import EXTRAS, needing

PROJECT = tomllib.loads((Path(__file__).resolve().parents[2] / "pyproject.toml").read_text())


@pytest.mark.parametrize("extra", EXTRAS)
def test_a_missing_library_says_what_to_install(extra, monkeypatch):
    assert extra in PROJECT["project"]["optional-dependencies"]
    for module in EXTRAS[extra]:
        monkeypatch.setitem(__import__("sys").modules, module, None)
        with pytest.raises(MissingExtraError) as found, needing(extra):
            __import__(module)
        assert str(found.value) == f"{module} is not installed: pip install 'featurelib[{extra}]'"


def test_other_missing_modules_are_not_explained_away():
    with pytest.raises(ModuleNotFoundError, match="no_such_module"), needing("plot"):
        import no_such_module  # noqa: F401

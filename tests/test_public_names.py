"""What `dir`, `help` and completion show of the two packages."""

from __future__ import annotations

import pydoc
import rlcompleter
import subprocess
import sys

import pytest

import featurelib
import jobs


@pytest.mark.parametrize("package", [featurelib, jobs], ids=["featurelib", "jobs"])
def test_public_names_are_listed_and_there(package):
    assert dir(package) == sorted(package.__all__)
    for name in package.__all__:
        assert getattr(package, name) is not None
    text = pydoc.plain(pydoc.render_doc(package))
    for name in package.__all__:
        assert name in text


def test_completion_offers_names_that_are_not_loaded_yet():
    completer = rlcompleter.Completer({"featurelib": featurelib})
    assert completer.complete("featurelib.extract_fi", 0).startswith("featurelib.extract_files")


def test_other_names_are_attribute_errors():
    for package in (featurelib, jobs):
        with pytest.raises(AttributeError, match="'nothing'"):
            package.nothing  # noqa: B018


def test_nothing_heavy_is_imported_before_it_is_used():
    code = (
        "import sys, featurelib, jobs, jobs.cli; featurelib.get_spec('genre-v1');"
        "print(*{'numba', 'scipy', 'pandas', 'pyarrow', 'librosa', 'dask', 'sklearn', 'skops',"
        "'matplotlib'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []

"""The examples in docstrings are run, and none is skipped."""

from __future__ import annotations

import doctest
import importlib
import inspect
import re
from pathlib import Path

import pytest

import featurelib
import jobs
from tests.docs.markdown import TOP

MODULES = [
    ".".join(path.relative_to(TOP).with_suffix("").parts).removesuffix(".__init__")
    for package in ("featurelib", "jobs")
    for path in sorted((TOP / package).rglob("*.py"))
    if re.search(r"^ *>>> ", path.read_text(), re.MULTILINE)
]

#: What users call first.
FIRST = [
    *(featurelib.extract, featurelib.extract_files, featurelib.extract_signal),
    *(featurelib.extract_frames, featurelib.load, featurelib.get_spec, featurelib.describe),
    *(featurelib.feature, featurelib.families, featurelib.FeatureSpec, jobs.extract_corpus),
    featurelib.plot.page,
]


#: Modules whose examples take long: they make tables, models and pages.
SLOW = {"jobs.api"}


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name for name in MODULES],
)
def test_examples_give_what_they_show(name: str, examples: Path) -> None:
    module = importlib.import_module(name)
    tests = [test for test in doctest.DocTestFinder().find(module) if test.examples]
    assert tests
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    said: list[str] = []
    for test in tests:
        assert not any(doctest.SKIP in example.options for example in test.examples)
        runner.run(test, out=said.append)
    assert runner.failures == 0, "".join(said)


@pytest.mark.parametrize("thing", FIRST, ids=lambda thing: thing.__name__)
def test_what_users_call_first_has_an_example(thing: object) -> None:
    assert ">>> " in (inspect.getdoc(thing) or "")

"""Calls that expressions share are made once; lambdas keep their own names."""

from __future__ import annotations

import ast
from collections import Counter
from typing import Any

import pytest

import featurelib
from jobs.verification.expressions import Expressions


def test_shared_calls_are_made_once() -> None:
    calls: Counter[str] = Counter()

    def stft(y: int) -> int:
        calls["stft"] += 1
        return 10 * y

    def doubled(x: int) -> int:
        calls["doubled"] += 1
        return 2 * x

    texts = ["stft(y) + 1", "doubled(stft(y))", "doubled(stft(y)) + 1", "stft(y + 1)", "y"]
    values = Expressions(texts).values_of({"y": 3, "stft": stft, "doubled": doubled})
    assert calls == {}  # computed when they are asked for
    assert [values[text] for text in texts] == [31, 60, 61, 40, 3]
    assert calls == {"stft": 2, "doubled": 1}


def test_names_of_a_lambda_are_its_own() -> None:
    texts = ["(lambda y: f(y))(g(y))", "(lambda y: f(y))(y)", "[f(y) for y in [g(y)]]", "f(y)"]
    names: dict[str, Any] = {"y": 1, "f": lambda x: 10 * x, "g": lambda x: x + 1}
    values = Expressions(texts).values_of(names)
    assert [values[text] for text in texts] == [20, 10, [20], 10]


@pytest.mark.parametrize("preset", featurelib.PRESETS)
def test_all_calls_of_the_presets_are_expressions(preset: str) -> None:
    """Of four names and what they have."""
    spec = featurelib.get_spec(preset)
    texts = {featurelib.librosa_call(entry.feature, spec.fixed_sr) for entry in spec.features}
    for text in texts - {"none"}:
        tree = ast.parse(text, mode="eval")
        names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        assert names <= {"y", "sr", "np", "librosa", "len"}, text

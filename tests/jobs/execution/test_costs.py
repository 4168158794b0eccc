"""Expected costs: guesses by format, and what is learned."""

from __future__ import annotations

import posixpath
import re
from collections import Counter

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.corpus.formats import (
    AUDIO_EXTENSIONS,
    cost_class,
    costs_by_class,
    format_of,
    guessed_costs,
    guessed_durations,
    guessed_seconds,
    has_audio_extension,
)
from jobs.execution.costs import CostModel


def test_lossy_bytes_cost_more() -> None:
    assert guessed_seconds("a.mp3", 10**6) > guessed_seconds("a.flac", 10**6)
    assert guessed_seconds("a.flac", 10**6) > guessed_seconds("a.wav", 10**6)
    assert guessed_seconds("a.MP3", 10**6) == guessed_seconds("a.mp3", 10**6)
    assert guessed_seconds("noextension", None) > 0


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("a/b.WAV", "wav"),
        ("x.tar.ogg", "ogg"),
        ("https://a.b/c.mp3?sig=x.y", "mp3"),
        ("a.b/c", ""),
        ("a.mp3/c", ""),
        ("take.00017", ""),
        ("mp3", "mp3"),
    ],
)
def test_the_format_is_the_extension_of_audio(path: str, name: str) -> None:
    assert format_of(path) == name


MB = 2**20


def test_guesses_are_corrected_for_each_class() -> None:
    costs = CostModel()
    names = ("a.mp3", "a.wav")
    before = {name: costs.seconds(name, MB) for name in names}
    assert before == {name: guessed_seconds(name, MB) for name in names}
    costs.observe({cost_class("b.mp3", MB): (100.0, 300.0), cost_class("b.mp3", 0): (1.0, 20.0)})
    assert costs.seconds("a.mp3", MB) == pytest.approx(3 * before["a.mp3"], rel=0.01)
    # of which no file was measured: as the nearest size, and as all files
    assert costs.seconds("a.mp3", 900 * MB) == pytest.approx(3 * guessed_seconds("x", 900 * MB))
    assert costs.seconds("a.mp3", 100) == pytest.approx(20 * guessed_seconds("x", 100))
    assert costs.factor == pytest.approx(320 / 101, rel=0.01)
    assert costs.seconds("a.wav", MB) == pytest.approx(costs.factor * before["a.wav"])
    left = {cost_class("a.mp3", MB): 10.0, cost_class("a.mp3", 900 * MB): 1.0}
    assert costs.total(left) == pytest.approx(33.0, rel=0.01)


def test_one_short_measurement_says_little() -> None:
    costs = CostModel()
    costs.observe({"mp3:8": (0.0001, 0.01)})
    assert costs.factor < 1.25


def test_durations_are_guessed_by_format() -> None:
    paths = pa.chunked_array([["a.mp3", "a.wav", "a.wav"]])
    sizes = pa.chunked_array([pa.array([160_000, 1_764_000, None], pa.int64())])
    mp3, wav, unknown = guessed_durations(paths, sizes)
    assert mp3 == pytest.approx(10, rel=0.5)
    assert wav == pytest.approx(10, rel=1)
    assert unknown == 0


def test_a_class_is_a_format_and_an_order_of_magnitude() -> None:
    assert [cost_class("a/b.MP3", size) for size in (None, 0, 1, 3, 4, 2**20)] == [
        *("mp3:0", "mp3:0", "mp3:0", "mp3:1", "mp3:1", "mp3:10")
    ]
    assert cost_class("no extension", 5) == ":1"


names = st.lists(st.sampled_from(["a", "/", ".", "wav", "WAV", "flac", "mp3", "?", "é"])).map(
    "".join
)


@given(st.lists(st.tuples(names, st.none() | st.integers(0, 10**12)), max_size=20))
def test_columns_of_files_cost_what_each_of_them_costs(files: list[tuple[str, int | None]]) -> None:
    paths = pa.chunked_array([[path for path, _ in files]], pa.string())
    sizes = pa.chunked_array([[size for _, size in files]], pa.int64())
    costs = [guessed_seconds(*file) for file in files]
    assert guessed_costs(paths, sizes).tolist() == costs
    of_classes: Counter[str] = Counter()
    for file, cost in zip(files, costs, strict=True):
        of_classes.update({cost_class(*file): cost})
    assert costs_by_class(paths, sizes) == pytest.approx(dict(of_classes))


@given(st.lists(names, max_size=20))
def test_extensions_are_those_of_the_standard_library(paths: list[str]) -> None:
    paths = [
        path for path in paths if not re.search(r"(^|/)\.", path)
    ]  # hidden, and left out before
    expected = [posixpath.splitext(path)[1][1:].lower() in AUDIO_EXTENSIONS for path in paths]
    assert has_audio_extension(pa.array(paths, pa.string())).to_pylist() == expected

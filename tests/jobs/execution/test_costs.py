"""Expected costs: guesses by format, and what is learned."""

from __future__ import annotations

import posixpath
import re

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.corpus.formats import (
    AUDIO_EXTENSIONS,
    format_of,
    guessed_costs,
    guessed_durations,
    guessed_seconds,
    has_audio_extension,
)
from jobs.execution.costs import CostModel
from jobs.execution.results import ShardResult


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


def test_guesses_are_corrected_for_each_format() -> None:
    costs = CostModel()
    before = {name: costs.seconds(name, 10**6) for name in ("a.mp3", "a.wav")}
    assert before == {name: guessed_seconds(name, 10**6) for name in before}
    costs.observe({"mp3": (100.0, 300.0)})
    assert costs.seconds("a.mp3", 10**6) == pytest.approx(3 * before["a.mp3"], rel=0.05)
    assert costs.seconds("a.wav", 10**6) == before["a.wav"]
    assert costs.factor == pytest.approx(3, rel=0.05)


def test_one_short_measurement_says_little() -> None:
    costs = CostModel()
    costs.observe({"mp3": (0.001, 0.1)})
    assert costs.factor < 1.2


def test_costs_are_learned_from_results() -> None:
    costs = CostModel()
    for result in (ShardResult(0, timings={"mp3": (5.0, 10.0)}), ShardResult(1)):
        costs.observe(result.timings)
    assert costs.factor > 1.5


def test_durations_are_guessed_by_format() -> None:
    paths = pa.chunked_array([["a.mp3", "a.wav", "a.wav"]])
    sizes = pa.chunked_array([pa.array([160_000, 1_764_000, None], pa.int64())])
    mp3, wav, unknown = guessed_durations(paths, sizes)
    assert mp3 == pytest.approx(10, rel=0.5)
    assert wav == pytest.approx(10, rel=1)
    assert unknown == 0


names = st.lists(st.sampled_from(["a", "/", ".", "wav", "WAV", "flac", "mp3", "?", "é"])).map(
    "".join
)


@given(st.lists(st.tuples(names, st.none() | st.integers(0, 10**12)), max_size=20))
def test_columns_of_files_cost_what_each_of_them_costs(files: list[tuple[str, int | None]]) -> None:
    paths = pa.chunked_array([[path for path, _ in files]], pa.string())
    sizes = pa.chunked_array([[size for _, size in files]], pa.int64())
    assert guessed_costs(paths, sizes).tolist() == [guessed_seconds(*file) for file in files]


@given(st.lists(names, max_size=20))
def test_extensions_are_those_of_the_standard_library(paths: list[str]) -> None:
    paths = [
        path for path in paths if not re.search(r"(^|/)\.", path)
    ]  # hidden, and left out before
    expected = [posixpath.splitext(path)[1][1:].lower() in AUDIO_EXTENSIONS for path in paths]
    assert has_audio_extension(pa.array(paths, pa.string())).to_pylist() == expected

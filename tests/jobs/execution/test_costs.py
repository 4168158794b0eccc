"""Expected costs: guesses by format, and what is learned."""

from __future__ import annotations

import pytest

from jobs.corpus.formats import format_of, guessed_duration, guessed_seconds
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
    assert guessed_duration("a.mp3", 160_000) == pytest.approx(10, rel=0.5)
    assert guessed_duration("a.wav", 1_764_000) == pytest.approx(10, rel=1)
    assert guessed_duration("a.wav", None) == guessed_duration("a.wav", -1) == 0

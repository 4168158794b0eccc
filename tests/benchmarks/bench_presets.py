"""The presets of published tables, and their costly parts, against librosa and the floor."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import librosa
import numpy as np

import featurelib
from jobs.execution.native import keep_freed_memory
from tests.benchmarks.floors import transform_floor
from tests.benchmarks.signals import music_like
from tests.benchmarks.timing import interleaved, ratio
from tests.featurelib.support import recipes

Call = Callable[[], Any]

SR = 22_050


def run(folder: Path) -> None:
    """Measure and print."""
    keep_freed_memory()  # as in a worker
    y, y_44 = music_like(SR, 1), music_like(2 * SR, 1)
    _gtzan(y)
    _recipe("fma-v1", recipes.fma, y, SR, "at least 10")
    _recipe("fma-v1", recipes.fma, y_44, 2 * SR, "at least 8")
    _recipe("genre-v2", recipes.genre, y, SR, "at least 8", floors="at most 6")
    _part(
        "harmonic/percussive, mean and variance",
        lambda: [(np.mean(x), np.var(x)) for x in librosa.effects.hpss(y)],
        _extraction(y, SR, _hpss()),
        "at least 80",
    )
    _part(
        "constant-Q, chroma",
        lambda: recipes.chroma_cqt(y, SR).mean(axis=1),
        _extraction(y, SR, _spec("chroma_cqt", statistics=["mean"])),
        "at least 8",
    )
    _part(
        "yin",
        lambda: librosa.yin(y, fmin=65.4064, fmax=2093.0045, sr=SR).mean(),
        _extraction(y, SR, _spec("yin", statistics=["mean"])),
        "at least 12",
    )


def _spec(family: str, **parameters: Any) -> featurelib.FeatureSpec:
    return featurelib.spec_from_settings({"features": [{"family": family, **parameters}]})


def _hpss() -> featurelib.FeatureSpec:
    entries = [
        {"family": "waveform", "of": name, "as": name, "statistics": ["mean", "var"]}
        for name in ("harmonic", "percussive")
    ]
    return featurelib.spec_from_settings({"features": entries})


def _extraction(y: np.ndarray, sr: int, spec: str | featurelib.FeatureSpec) -> Call:
    featurelib.warm_up(spec)
    extractor = featurelib.Extractor(spec)
    return lambda: list(extractor.signal(y, sr))


def _gtzan(y: np.ndarray) -> None:
    seconds = interleaved(
        {
            "librosa": lambda: recipes.gtzan(y, SR),
            "gtzan-v1": _extraction(y, SR, "gtzan-v1"),
            "gtzan-segments-v1": _extraction(y, SR, "gtzan-segments-v1"),
            "rfft float32": transform_floor(y, np.float32),
        },
        repetitions=9,
    )
    _print(
        "30 s in memory, 22.05 kHz: GTZAN",
        seconds,
        [
            ("librosa", "gtzan-v1", "at least 45"),
            ("gtzan-v1", "rfft float32", "at most 4.5"),
            ("gtzan-segments-v1", "gtzan-v1", "at most 1.15"),
        ],
    )


def _recipe(
    preset: str,
    recipe: Callable[[np.ndarray, int], Any],
    y: np.ndarray,
    sr: int,
    aim: str,
    floors: str = "",
) -> None:
    calls: dict[str, Call] = {
        "librosa": lambda: recipe(y, sr),
        preset: _extraction(y, sr, preset),
        "rfft float32": transform_floor(y, np.float32),
    }
    ratios = [("librosa", preset, aim), (preset, "rfft float32", floors)]
    what = f"30 s in memory, {sr / 1000:g} kHz: {preset}"
    _print(what, interleaved(calls, repetitions=15), ratios)


def _part(what: str, plain: Call, ours: Call, aim: str) -> None:
    seconds = interleaved({"librosa": plain, "featurelib": ours}, repetitions=9)
    _print(f"30 s in memory, 22.05 kHz: {what}", seconds, [("librosa", "featurelib", aim)])


def _print(what: str, seconds: dict[str, float], ratios: list[tuple[str, str, str]]) -> None:
    print(f"{what}, one core, medians")
    for name, value in seconds.items():
        print(f"    {name:<34} {1000 * value:8.2f} ms")
    for over, under, aim in ratios:
        print(ratio(f"{over} / {under}", seconds[over] / seconds[under], aim))

"""All families of the harmonic and of the percussive component, against librosa's components."""

from __future__ import annotations

import functools
from typing import Any

import librosa
import numpy as np
import pytest

from featurelib import FeatureSpec, extract_signal_columns, families
from featurelib import spec_from_settings as spec_of
from featurelib.graph import Signal, samples_of
from tests.featurelib.support import oracle
from tests.featurelib.support.signals import SR, chord, noise
from tests.featurelib.support.specs import READS
from tests.support.quick import slow_but

COMPONENTS = {"harmonic": librosa.effects.harmonic, "percussive": librosa.effects.percussive}

#: Root mean square of the rounding errors of a component, relative to that of the signal. They are
#: errors of a transform in float32 and its inverse. The harmonic component is what the percussive
#: one leaves of the signal, so its errors are relative to the signal, however faint it is.
ROUNDING = 1e-7


def signal() -> np.ndarray:
    """Two seconds of a chord in noise, with beats that are louder than it."""
    y = chord(2.0, detune=0.2) + noise(2.0, level=0.01)
    for i in range(4):
        y[i * SR // 2 :][:1500] += noise(1500 / SR, seed=i, level=0.3)
    return y


@functools.cache
def component(name: str) -> np.ndarray:
    return COMPONENTS[name](signal())


def error(seed: int) -> np.ndarray:
    level = ROUNDING * oracle.root_mean_square(signal())
    return noise(2.0, seed=seed, level=level)


@functools.cache
def all_families() -> FeatureSpec:
    """A spec of all families of both components, so that the separation is done once."""
    entries: list[dict[str, Any]] = []
    for name in COMPONENTS:
        for family in sorted(families(), key=lambda family: family in READS):
            of = f"{READS[family]}_{name}" if family in READS else name
            entry: dict[str, Any] = {"family": family, "of": of, "as": f"{family}_{name}"}
            if not families()[family].is_single:
                entry["statistics"] = ["series"]
            entries.append(entry)
    return spec_of({"features": entries})


@functools.cache
def found() -> dict[str, list[Any]]:
    return extract_signal_columns(signal(), SR, all_families())


def frames_of(call: str, y: np.ndarray, feature: Any) -> np.ndarray:
    """Values of all frames by the family's own librosa call, shape (rows, frames)."""
    if call == "none":
        values = oracle.SERIES[feature.family](y, SR, feature)
    else:
        values = eval(call, {"y": y, "sr": SR, "np": np, "librosa": librosa})
    values = np.asarray(values, np.float64)
    return values.reshape(1, 1) if feature.is_single else np.atleast_2d(values)


@pytest.mark.parametrize("name", slow_but(["harmonic"], COMPONENTS))
@pytest.mark.parametrize("family", sorted(families()))
def test_families_of_components_are_those_of_librosas_components(family: str, name: str) -> None:
    """The tolerance is the promised one, and four times what rounding errors of y do to a row."""
    [entry] = [one for one in all_families().features if one.name == f"{family}_{name}"]
    feature, y = entry.feature, component(name)
    [column] = entry.column_names()
    [values] = found()[column]
    values = np.atleast_2d(np.asarray(values, np.float64).T)
    call = feature.librosa(SR)
    expected = frames_of(call, y, feature)
    assert values.shape == expected.shape
    moved = [abs(frames_of(call, y + error(seed), feature) - expected) for seed in (1, 2)]
    rounding = np.max(moved, axis=(0, 2))[:, np.newaxis]
    rms = np.sqrt(np.mean(expected**2, axis=1, keepdims=True))
    tolerance = 1e-4 * abs(expected) + 1e-6 * rms + 4 * rounding
    assert (rounding <= 5e-3 * rms).all()  # or else the tolerance says nothing
    np.testing.assert_array_less(abs(values - expected), tolerance + np.finfo(float).tiny)


@pytest.mark.parametrize("name", COMPONENTS)
def test_the_stated_call_gives_librosas_component(name: str) -> None:
    [entry] = spec_of({"features": [{"family": "rms", "of": name}]}).features
    [samples] = samples_of(entry.feature) - {Signal()}
    names = {"y": signal(), "sr": SR, "np": np, "librosa": librosa}
    np.testing.assert_array_equal(eval(samples.librosa(), names), component(name))


def test_rounding_errors_of_components_are_below_what_is_assumed() -> None:
    for name in COMPONENTS:
        [values] = found()[f"waveform_{name}_series"]
        error = oracle.root_mean_square(np.ravel(values) - component(name))
        assert error < ROUNDING * oracle.root_mean_square(signal())

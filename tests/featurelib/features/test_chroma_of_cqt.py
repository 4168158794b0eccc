"""Families that read the constant-Q transform: chroma_cqt, chroma_cens, and tonnetz of them."""

from __future__ import annotations

from typing import Any

import librosa
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from featurelib import SpecError, describe, extract_signal_columns, feature
from featurelib import spec_from_settings as spec_of
from featurelib.features.chroma_cens import _CENS, ChromaCENS
from featurelib.graph import Block
from tests.featurelib.support import oracle
from tests.featurelib.support.signals import SIGNALS, SR, chord, noise

#: Frames whose magnitudes are rounding errors, which chroma makes large.
FAINT = ("constant", "fading", "sweep", "upsampled, gaps")


def spec(statistic: str = "mean", **parameters: Any) -> Any:
    """A spec of all families, and of tonnetz of both."""
    features = [
        "chroma_cqt",
        "chroma_cens",
        {"family": "tonnetz", "as": "of_cqt", "of": "chroma_cqt"},
        {"family": "tonnetz", "as": "of_cens", "of": "chroma_cens"},
    ]
    return spec_of({"features": features, "defaults": {"statistics": [statistic], **parameters}})


def series(y: np.ndarray, **parameters: Any) -> dict[str, np.ndarray]:
    """Frames of each entry, shape (frames, rows)."""
    columns = extract_signal_columns(y, SR, spec("series", **parameters))
    return {entry.name: columns[f"{entry.name}_series"][0] for entry in spec().features}


def expected(y: np.ndarray, **parameters: Any) -> dict[str, np.ndarray]:
    entries = spec("series", **parameters).features
    return {entry.name: oracle.frame_series(y, SR, entry.feature).T for entry in entries}


@pytest.mark.parametrize("name", sorted(set(SIGNALS) - set(FAINT)))
def test_frames_equal_librosas(name: str) -> None:
    found, wanted = series(SIGNALS[name]), expected(SIGNALS[name])
    for entry, values in found.items():
        np.testing.assert_allclose(values, wanted[entry], rtol=1e-4, atol=3e-6, err_msg=entry)


@pytest.mark.parametrize(
    "parameters",
    [
        {"pad_mode": "reflect"},
        {"hop_length": 1024},
        {"bins_per_octave": 36},
        {"n_octaves": 5},
        {"win_len_smooth": 1},
        {"win_len_smooth": 9},
    ],
    ids=str,
)
def test_other_parameters_equal_librosas(parameters: dict[str, Any]) -> None:
    y = chord(3.0, detune=-0.3) + noise(3.0, level=0.003)
    found, wanted = series(y, **parameters), expected(y, **parameters)
    for entry, values in found.items():
        np.testing.assert_allclose(values, wanted[entry], rtol=1e-4, atol=3e-6, err_msg=entry)


@pytest.mark.parametrize("name", FAINT)
def test_faint_frames_are_finite_and_within_their_range(name: str) -> None:
    found = series(SIGNALS[name])
    assert all(np.isfinite(values).all() for values in found.values())
    for entry in ("chroma_cqt", "chroma_cens"):
        assert 0 <= found[entry].min() <= found[entry].max() <= 1.0001


@pytest.mark.parametrize("sound", [noise(0.6), chord(0.6)], ids=["noise", "chord"])
def test_frames_after_a_sound_equal_librosas_in_double_precision(sound: np.ndarray) -> None:
    """They hold the resampler's rounding errors, whose start is much louder than their middle.

    There librosa is some 2e-5 off in single precision.
    """
    y = np.concatenate((sound, np.zeros(3 * SR, np.float32)))
    wanted = expected(y.astype(np.float64), pad_mode="reflect")["chroma_cqt"]
    found = series(y, pad_mode="reflect")["chroma_cqt"]
    assert (wanted.max(axis=1) == 1).all()
    np.testing.assert_allclose(found, wanted, rtol=0, atol=3e-6)


@pytest.mark.parametrize("n", [1, 600, 5 * SR])
def test_silence_is_zero(n: int) -> None:
    for values in series(np.zeros(n, np.float32)).values():
        assert len(values) == 1 + n // 512
        assert (values == 0).all()


def test_strongest_class_of_a_tone() -> None:
    t = np.arange(SR) / SR
    y = np.sin(2 * np.pi * librosa.note_to_hz("E4") * t).astype(np.float32)
    found = series(y)
    assert (found["chroma_cqt"].argmax(axis=1) == 4).all()
    assert (found["chroma_cens"].argmax(axis=1) == 4).all()


@settings(max_examples=30, deadline=None)
@given(
    n=st.integers(1, 120),
    win_len_smooth=st.integers(0, 30).map(lambda half: 2 * half + 1),
    cuts=st.lists(st.integers(0, 120), max_size=5),
    seed=st.integers(0, 2**32 - 1),
)
def test_smoothing_in_blocks_is_that_of_the_whole(
    n: int, win_len_smooth: int, cuts: list[int], seed: int
) -> None:
    x = np.random.default_rng(seed).gamma(0.3, size=(n, 12)).astype(np.float32)
    x[n // 3 : n // 2] = 0
    operator = _CENS(win_len_smooth)
    blocks = []
    for part in np.split(x, sorted(min(cut, n) for cut in cuts)):
        blocks += [block.x.copy() for block in operator.push(Block(part, len(part)), 0)]
    blocks += [block.x for block in operator.finish()]
    wanted = librosa.feature.chroma_cens(
        C=x.T, n_octaves=1, bins_per_octave=12, win_len_smooth=win_len_smooth
    ).T
    np.testing.assert_allclose(np.concatenate(blocks), wanted, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("pad_mode", ["constant", "reflect"])
def test_librosa_calls_give_the_frames(pad_mode: str) -> None:
    y = chord(2.0, detune=0.2)
    chosen = {"pad_mode": pad_mode, "n_octaves": 6, "win_len_smooth": 21}
    found = series(y, **chosen)
    names = {"y": y, "sr": SR, "np": np, "librosa": librosa}
    for entry in spec("series", **chosen).features:
        values = eval(entry.feature.librosa(None), names)
        np.testing.assert_allclose(found[entry.name], values.T, rtol=1e-4, atol=3e-6)


def test_columns_are_described() -> None:
    columns = {column.name: column for column in describe(spec())}
    assert "pitch class 4 of 12 (D♯)" in columns["chroma_cqt_04_mean"].definition
    assert "on the circle of minor thirds (y)" in columns["of_cens_04_mean"].definition
    assert "in steps of 0.05" in columns["of_cens_04_mean"].definition


def test_tonnetz_is_of_chroma_only() -> None:
    entries = ["mfcc", {"family": "tonnetz", "of": "mfcc"}]
    with pytest.raises(SpecError, match="tonnetz of 'mfcc', which has no pitch classes: of = "):
        spec_of({"features": entries})


def test_tonnetz_of_more_pitch_classes() -> None:
    entries = [
        {"family": "chroma_stft", "n_chroma": 24, "statistics": []},
        {"family": "tonnetz", "of": "chroma_stft"},
    ]
    own, y = spec_of({"features": entries}), chord()
    found, wanted = extract_signal_columns(y, SR, own), oracle.columns(y, own)
    oracle.assert_close(found, {k: v for k, v in wanted.items() if k.startswith("tonnetz")})


@pytest.mark.parametrize(
    ("parameters", "message"),
    [({"win_len_smooth": 40}, "must be an odd"), ({"bins_per_octave": 20}, "a multiple of 12")],
)
def test_parameters_that_do_not_fit_are_refused(parameters: dict[str, int], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        spec_of({"features": [{"family": "chroma_cens", **parameters}]})


def test_what_is_made_of_steps_says_so() -> None:
    cens = ChromaCENS()
    assert cens.is_quantized
    assert feature("tonnetz", of=cens).is_quantized
    assert feature("delta", of=cens).is_quantized
    assert not feature("chroma_cqt").is_quantized

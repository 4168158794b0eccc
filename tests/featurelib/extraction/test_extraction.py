"""Public functions of extraction; block sizes do not change values."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from collections import Counter

import librosa
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import featurelib
from featurelib import (
    AudioError,
    ParameterError,
    SpecError,
    extract,
    extract_columns,
    extract_signal,
    get_spec,
    schema,
    spec_from_settings,
    warm_up,
)
from featurelib.transforms import frames
from tests.featurelib.support import oracle
from tests.featurelib.support.signals import SR, chord, encode, noise, sine
from tests.support.quick import slow_but

GENRE = get_spec("genre-v1")


def test_extract_is_one_row_with_the_schemas_types():
    frame = extract(encode(chord()))
    assert list(frame.columns) == schema("genre-v1").names
    assert len(frame) == 1
    for field in schema("genre-v1"):
        if str(field.type) == "float":
            assert frame[field.name].dtype == np.float32
    assert frame["format"].item() == "WAV"
    assert frame["n_frames"].item() == 1 + 2 * SR // 512
    expected = oracle.columns(chord(), GENRE)
    oracle.assert_close({name: frame[name].tolist() for name in expected}, expected)


def test_specs_are_named_or_given():
    data = encode(sine())
    by_name = extract(data, "tutorial-v1")
    pd.testing.assert_frame_equal(by_name, extract(data, get_spec("tutorial-v1")))
    with pytest.raises(SpecError, match="nope"):
        extract(data, "nope")


@pytest.mark.parametrize("sr", [8_000, 22_050, 44_100, 48_000])
@pytest.mark.parametrize("channels", [1, 2, 3])
def test_files_of_any_rate_and_channels_equal_librosa(tmp_path, sr, channels):
    y = np.stack([chord(1.1, sr=sr), noise(1.1, sr=sr), sine(1.1, sr=sr)], axis=1)[:, :channels]
    path = tmp_path / "a.wav"
    path.write_bytes(encode(y, sr, subtype="PCM_16"))
    loaded, _ = librosa.load(path)
    oracle.assert_close(extract_columns(path), oracle.columns(loaded, GENRE))


@pytest.mark.parametrize("fmt", slow_but(["WAV", "MP3"], ["WAV", "FLAC", "OGG", "MP3", "AIFF"]))
def test_the_tutorial_hears_the_first_30_seconds(tmp_path, fmt):
    y = np.concatenate((chord(29.9), noise(2.0)))
    path = tmp_path / "a"
    path.write_bytes(encode(y, fmt=fmt))
    loaded, _ = librosa.load(path, duration=30)
    row = extract_columns(path, "tutorial-v1")
    oracle.assert_close(row, oracle.tutorial(loaded))
    assert row["duration_s"] == [30.0]
    assert row["header_duration_s"][0] > 31
    assert row["n_frames"] == [1 + 30 * SR // 512]


def test_signals_give_what_their_file_gives():
    y = np.stack([chord(sr=44_100), noise(sr=44_100)])
    from_file = extract(encode(y.T, 44_100))
    from_signal = extract_signal(y, 44_100)
    container = ["header_duration_s", "format", "subtype"]
    container += ["decoder", "decoding", "lost_s", "n_streams"]
    pd.testing.assert_frame_equal(
        from_signal.drop(columns=container), from_file.drop(columns=container)
    )
    assert from_signal[container].isna().all(axis=None)


def test_signals_may_be_mono_double_half_or_strided():
    y = chord()
    expected = extract_signal(y, SR)
    for same in (y[np.newaxis], y.astype(np.float64), np.repeat(y, 2)[::2]):
        pd.testing.assert_frame_equal(extract_signal(same, SR), expected)
    assert len(extract_signal(y.astype(np.float16), SR)) == 1
    spec = spec_from_settings({"features": ["waveform"]})
    for same in (np.repeat(y, 2)[::2], y[::-1].copy()[::-1]):
        pd.testing.assert_frame_equal(extract_signal(same, SR, spec), extract_signal(y, SR, spec))
    pd.testing.assert_frame_equal(extract_signal(y, np.int64(SR)), expected)


def test_the_duration_cuts_signals_as_files():
    spec = spec_from_settings({"preset": "genre-v1", "duration": 1.00003})
    y = noise(2.0)
    expected = extract_signal(y[: int(1.00003 * SR)], SR)
    pd.testing.assert_frame_equal(extract_signal(y, SR, spec), expected)


def test_signals_are_left_as_they_are():
    y = np.stack([chord(), noise()])
    before = y.copy()
    extract_signal(y, 44_100)
    np.testing.assert_array_equal(y, before)


@pytest.mark.parametrize(
    ("y", "sr", "words"),
    [
        ([0.1, 0.2], SR, "list"),
        (np.zeros(100, np.int16), SR, "int16"),
        (np.zeros(100, np.complex64), SR, "complex64"),
        (np.zeros((2, 3, 4)), SR, r"\(2, 3, 4\)"),
        (np.float32(1.0), SR, "float"),
        (np.array(1.0), SR, r"shape=\(\)"),
        (np.zeros(100), 0, "sr=0"),
        (np.zeros(100), 22_050.5, r"sr=22050\.5"),
        (np.zeros(100), float("nan"), "sr=nan"),
        (np.zeros(100), "22050", "sr='22050'"),
        (np.zeros(100), None, "sr=None"),
    ],
)
def test_arguments_of_the_wrong_kind_are_named(y, sr, words):
    with pytest.raises(ParameterError, match=words):
        extract_signal(y, sr)


def test_signals_without_usable_content():
    for empty in (np.empty(0), np.empty((2, 0)), np.empty((0, 5))):
        with pytest.raises(AudioError) as caught:
            extract_signal(empty, SR)
        assert caught.value.kind == "empty"
    for bad in (np.nan, np.inf, 1e300):
        y = np.zeros(1000)
        y[500] = bad
        with pytest.raises(AudioError) as caught:
            extract_signal(y, SR)
        assert caught.value.kind == "not_finite"


def test_without_padding_a_signal_can_be_too_short():
    spec = spec_from_settings({"preset": "genre-v1", "defaults": {"center": False}})
    with pytest.raises(AudioError, match="2048") as caught:
        extract_signal(noise()[:2047], SR, spec)
    assert caught.value.kind == "too_short"
    assert extract_signal(noise()[:2048], SR, spec)["n_frames"].item() == 1


#: Lengths at which frames, blocks and the resampler's delay begin or end.
EDGES = sorted(
    {1, 2, 3}
    | {n + d for n in (512, 1024, 1536, 2048, 4096, 8 * 512 + 1024, 33_280) for d in (-1, 0, 1)}
)


@given(
    length=st.sampled_from(EDGES) | st.integers(1, 20_000),
    sr=st.sampled_from([8_000, 22_050, 44_100, 48_000]),
    channels=st.integers(1, 3),
    block_samples=st.integers(1, 9_000),
    block_frames=st.integers(1, 70),
    pad_mode=st.sampled_from(["constant", "reflect"]),
    seed=st.integers(0, 1000),
)
def test_block_sizes_change_no_value(
    length, sr, channels, block_samples, block_frames, pad_mode, seed
):
    spec = spec_from_settings({"preset": "genre-v1", "defaults": {"pad_mode": pad_mode}})
    rng = np.random.default_rng(seed)
    t = np.arange(length) / sr
    y = 0.3 * np.sin(2 * np.pi * rng.uniform(100, 3000) * t)[:, np.newaxis]
    y = (y + 0.01 * rng.standard_normal((length, channels))).astype(np.float32)
    data = encode(y, sr)
    # Reading sample by sample is only quick for short signals.
    block_samples = max(block_samples, y.size // 2000)
    rows = []
    for samples, n_frames in ((10**7, 128), (block_samples, block_frames)):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(frames, "BLOCK_FRAMES", n_frames)
            rows.append(extract_columns(data, spec, block_samples=samples))
    whole, parts = rows
    for name, (value,) in whole.items():
        (other,) = parts[name]
        if isinstance(value, float):
            assert other == pytest.approx(value, rel=1e-6, abs=1e-9), name
        else:
            assert other == value, name


def test_long_signals_are_analysed_beyond_the_chunks_of_statistics():
    spec = spec_from_settings({"preset": "genre-v1", "defaults": {"n_fft": 512, "hop_length": 64}})
    y = np.concatenate((chord(8.0), noise(6.0, level=0.01)))
    row = extract_columns(encode(y), spec)
    assert row["n_frames"][0] > 4096
    oracle.assert_close(row, oracle.columns(y, spec))


_WARM = """
import sys
import numpy as np
import featurelib
from tests.featurelib.support.signals import chord, encode

def compiled():
    return {
        f"{module}.{name}": len(kernel.signatures)
        for module, contents in list(sys.modules.items())
        if module.startswith("featurelib.kernels.")
        for name, kernel in vars(contents).items()
        if hasattr(kernel, "signatures") and kernel.signatures
    }

spec = featurelib.spec_from_settings(eval(sys.argv[1]))
featurelib.warm_up(spec)
before = compiled()
hop_length = spec.features[0].feature.frames.hop_length
stereo = np.stack([chord(4200 * hop_length / 22050)] * 2, axis=1)  # spills
featurelib.extract_columns(encode(stereo, 22050), spec)
assert compiled() == before, set(compiled().items()) ^ set(before.items())
print(len(before))
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [
        *slow_but([], [{"preset": "tutorial-v1"}, {"preset": "genre-v1"}]),
        {
            "preset": "genre-v1",
            "defaults": {"n_fft": 16384, "hop_length": 1000, "center": False, "n_bands": 3},
        },
        {
            "features": [
                {"family": "mfcc", "statistics": ["median", "series"]},
                {"family": "delta", "of": "mfcc"},
                {"family": "spectral_bandwidth", "p": 3},
                {"family": "spectral_bandwidth", "as": "fractional", "p": 1.5},
                "tuning",
            ]
        },
    ],
    ids=str,
)
def test_warm_up_leaves_nothing_to_compile(settings):
    assert int(run_python(_WARM, str(settings))) > 10


def test_warm_up_needs_no_more_signal_than_the_spec_takes():
    warm_up(spec_from_settings({"preset": "tutorial-v1", "duration": 5e-5}))


def run_python(code: str, argument: str, **environment: str) -> str:
    """Output of a separate Python process."""
    result = subprocess.run(
        [sys.executable, "-c", code, argument],
        env={**os.environ, "PYTHONPATH": ":".join(sys.path), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_the_front_door_has_what_it_says():
    for name in featurelib.__all__:
        assert getattr(featurelib, name) is not None
    assert featurelib.extract.__module__ == "featurelib.extraction.extract"
    with pytest.raises(AttributeError, match="nothing"):
        featurelib.nothing  # noqa: B018


def own_objects() -> Counter[str]:
    """Count the objects that are alive of each class of featurelib."""
    return Counter(
        type(thing).__qualname__
        for thing in gc.get_objects()
        if str(type(thing).__module__).startswith("featurelib.")
    )


def test_a_file_leaves_nothing_for_the_garbage_collector():
    """Reference cycles would delay the release of memory."""
    data = encode(chord(0.5))
    extract_columns(data, GENRE)
    gc.collect()
    before = own_objects()
    gc.disable()
    try:
        for _ in range(5):
            extract_columns(data, GENRE)
        assert own_objects() == before
    finally:
        gc.enable()

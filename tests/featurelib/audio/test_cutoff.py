"""The cutoff: where the spectrum of a file breaks off."""

from __future__ import annotations

import io
from typing import Any

import av
import numpy as np
import pytest
import scipy.signal
import soundfile
import soxr
from hypothesis import given
from hypothesis import strategies as st

import featurelib
from featurelib.audio import CutoffMeter
from featurelib.audio.cutoff import _BEGINNING, _N_FFT, _STRIDE
from tests.featurelib.support.signals import in_16_bits, sine
from tests.support.audio_files import REAL_AUDIO, real_recordings

N_FFT = 1024


def pink(seconds: float, sr: int, *, seed: int = 0, level: float = 0.1) -> np.ndarray:
    """Noise that falls by 6 dB an octave, as music does."""
    n = round(seconds * sr)
    spectrum = np.fft.rfft(np.random.default_rng(seed).standard_normal(n))
    spectrum /= np.maximum(np.arange(len(spectrum)) / seconds, 100.0)
    y = np.fft.irfft(spectrum, n)
    return (level * y / y.std()).astype(np.float32)


def cutoff_of(y: np.ndarray, sr: int, *, step: int = 10_000) -> float | None:
    meter = CutoffMeter()
    blocks = y[:, None] if y.ndim == 1 else y
    for start in range(0, len(blocks), step):
        meter.add(blocks[start : start + step], sr)
    return meter.cutoff_hz()


def by_ffmpeg(y: np.ndarray, sr: int, to: int) -> np.ndarray:
    frame = av.AudioFrame.from_ndarray(y[None], format="flt", layout="mono")
    frame.sample_rate = sr
    resampler = av.AudioResampler(format="flt", layout="mono", rate=to)
    found = [*resampler.resample(frame), *resampler.resample(None)]
    return np.concatenate([one.to_ndarray()[0] for one in found])


RESAMPLERS = {
    "soxr": lambda y, sr, to: soxr.resample(y, sr, to),
    "scipy": lambda y, sr, to: scipy.signal.resample(y, len(y) * to // sr).astype(np.float32),
    "ffmpeg": by_ffmpeg,
}


@pytest.mark.parametrize("resampler", RESAMPLERS)
@pytest.mark.parametrize(
    ("sr", "to"), [(8_000, 16_000), (11_025, 44_100), (16_000, 22_050), (22_050, 48_000)]
)
def test_upsampled_noise_ends_at_the_lower_nyquist_frequency(
    resampler: str, sr: int, to: int
) -> None:
    y = pink(2.0, sr)
    assert cutoff_of(y, sr) is None
    z = in_16_bits(RESAMPLERS[resampler](y, sr, to))
    assert cutoff_of(z, to) == pytest.approx(sr / 2, rel=0.08)


@pytest.mark.parametrize("hz", [3_000, 7_000, 16_000])
def test_a_low_pass_filter_is_found(hz: int) -> None:
    filtered = scipy.signal.firwin(513, hz, fs=44_100, window=("kaiser", 10.0))
    y = scipy.signal.lfilter(filtered, 1.0, pink(3.0, 44_100)).astype(np.float32)
    assert cutoff_of(y, 44_100) == pytest.approx(hz, rel=0.05)


def test_a_decay_is_no_cutoff() -> None:
    """By 24 dB an octave from 1 kHz on, to far below the floor."""
    sos = scipy.signal.butter(4, 1_000, fs=44_100, output="sos")
    y = scipy.signal.sosfilt(sos, pink(3.0, 44_100)).astype(np.float32)
    spectrum = np.abs(np.fft.rfft(y * np.hanning(len(y))))
    assert spectrum[-1000:].max() < 1e-4 * spectrum.max()  # more than 80 dB
    assert cutoff_of(y, 44_100) is None


def test_the_filter_of_a_file_at_its_own_rate_is_none() -> None:
    y = soxr.resample(pink(2.0, 96_000), 96_000, 44_100)
    assert cutoff_of(y, 44_100) is None


def test_nothing_can_be_said() -> None:
    upsampled = soxr.resample(pink(2.0, 8_000), 8_000, 16_000)
    assert cutoff_of(upsampled, 16_000) is not None
    assert cutoff_of(1e-4 * upsampled, 16_000) is None  # as good as silent
    assert cutoff_of(upsampled[: N_FFT - 1], 16_000) is None
    assert cutoff_of(np.zeros(20_000, np.float32), 16_000) is None
    assert CutoffMeter().cutoff_hz() is None
    noisy = upsampled + pink(2.0, 16_000, seed=1, level=1e-2)
    assert cutoff_of(noisy, 16_000) is None


def test_channels_are_mixed_and_may_cancel() -> None:
    y = soxr.resample(pink(2.0, 8_000), 8_000, 22_050)
    assert cutoff_of(np.stack([y, 0.5 * y], axis=1), 22_050) == cutoff_of(y, 22_050)
    assert cutoff_of(np.stack([y, -y], axis=1), 22_050) is None
    other = pink(2.0, 22_050)[: len(y)]
    assert cutoff_of(np.stack([y, other], axis=1), 22_050) is None  # one has it all


def test_a_tone_ends_at_its_frequency() -> None:
    assert cutoff_of(sine(frequency=1000.0), 22_050) == pytest.approx(1000, abs=150)


def test_streams_of_other_rates_are_left_out() -> None:
    low, high = soxr.resample(pink(1.0, 8_000), 8_000, 16_000), pink(1.0, 44_100)
    low *= np.hanning(len(low)).astype(np.float32)  # without clicks where they join
    meter = CutoffMeter()
    for y, sr in ((low, 16_000), (high, 44_100), (low, 16_000)):
        meter.add(y[:, None], sr)
    assert meter.cutoff_hz() == cutoff_of(np.concatenate([low, low]), 16_000)
    assert meter.cutoff_hz() is not None
    meter = CutoffMeter()
    for y in (low, pink(1.0, 16_000)):
        meter.add(y[:, None], 16_000)
    assert meter.cutoff_hz() is None  # the second stream has content above


@given(
    st.integers(1, 3),
    st.lists(st.integers(0, _BEGINNING + 2 * _STRIDE), max_size=8),
    st.integers(_N_FFT, _BEGINNING + 2 * _STRIDE),
)
def test_blocks_of_any_size_give_the_same_value(channels: int, cuts: list[int], n: int) -> None:
    rng = np.random.default_rng(channels)
    y = rng.standard_normal((_BEGINNING + 2 * _STRIDE, channels)).astype(np.float32)[:n]
    whole, parts = CutoffMeter(), CutoffMeter()
    whole.add(y, 44_100)
    for block in np.split(y, sorted(cut for cut in cuts if cut < n)):
        if len(block):
            parts.add(block, 44_100)
    assert whole.cutoff_hz() == parts.cutoff_hz()
    np.testing.assert_array_equal(whole._largest, parts._largest)


def test_frames_are_those_that_the_documentation_names() -> None:
    """Sixteen at the beginning, then one in 32: content elsewhere is not seen."""
    y = np.zeros(3 * _STRIDE, np.float32)
    loud = pink(1.0, 44_100)[:_N_FFT]
    for frame, is_seen in ((0, True), (15, True), (16, False), (32, True), (33, False), (64, True)):
        x = y.copy()
        x[frame * _N_FFT : (frame + 1) * _N_FFT] = loud
        meter = CutoffMeter()
        meter.add(x[:, None], 44_100)
        meter.cutoff_hz()
        assert bool(meter._largest.max() > 0) is is_seen, frame


def wav(y: np.ndarray, sr: int, **options: Any) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, y, sr, format="WAV", **options)
    return file.getvalue()


@pytest.mark.parametrize("channels", ["mix", "each"])
def test_rows_of_a_file_have_it(channels: str) -> None:
    y = soxr.resample(pink(3.0, 8_000), 8_000, 16_000)
    spec = featurelib.spec_from_settings(
        {
            "features": ["rms"],
            "defaults": {"statistics": ["mean"]},
            "channels": channels,
            "level": {"kind": "segment", "length_s": 1.0},
        }
    )
    data = wav(np.stack([y, 0.9 * y], axis=1), 16_000)
    found = featurelib.extract_columns(data, spec)["cutoff_hz"]
    assert len(found) == (3 if channels == "mix" else 6)
    assert len(set(found)) == 1
    assert found[0] == pytest.approx(4000, rel=0.08)
    signal = featurelib.extract_signal(np.stack([y, 0.9 * y]), 16_000, spec)
    assert signal["cutoff_hz"].tolist() == found


def test_the_offset_and_the_duration_count() -> None:
    """What is not analysed is not measured."""
    low = soxr.resample(pink(1.0, 8_000), 8_000, 16_000)
    data = wav(np.concatenate([low, pink(1.0, 16_000)]), 16_000)
    settings = {"features": ["rms"], "defaults": {"statistics": ["mean"]}}
    for fields, is_found in (({"duration": 0.9}, True), ({"offset": 1.0}, False), ({}, False)):
        spec = featurelib.spec_from_settings({**settings, **fields})
        found = featurelib.extract_columns(data, spec)["cutoff_hz"][0]
        assert (found is not None) is is_found


DIGITS = real_recordings("digits")[::10]


@pytest.mark.skipif(not DIGITS, reason=f"no recordings in {REAL_AUDIO}")
@pytest.mark.parametrize("resampler", RESAMPLERS)
def test_spoken_digits_upsampled(resampler: str) -> None:
    """Recordings of 8 kHz have no cutoff; nine in ten that are upsampled have theirs."""
    found = []
    for path in DIGITS:
        y, sr = soundfile.read(path, dtype="float32")
        assert cutoff_of(y, sr) is None, path.name
        if len(y) >= 2 * N_FFT:
            cutoff = cutoff_of(in_16_bits(RESAMPLERS[resampler](y, sr, 22_050)), 22_050)
            found.append(cutoff is not None and 0.92 < cutoff / 4000 < 1.08)
    assert np.mean(found) >= 0.9

"""What is drawn, read back from the axes: featurelib's values, which are librosa's."""

from __future__ import annotations

import librosa
import numpy as np
import pytest
import scipy.signal
from matplotlib.collections import QuadMesh

import featurelib
from tests.featurelib.support.signals import SR, chord, encode, noise

Y = np.concatenate((chord(1.5, detune=0.2), noise(0.5, level=0.02), np.zeros(SR // 2, np.float32)))
N_FRAMES = 1 + len(Y) // 512
PLOT = featurelib.plot


def frames_of(family: str, **parameters) -> np.ndarray:
    """Return the frames of a feature, shape (n_frames, width)."""
    entry = {"family": family, **parameters}
    spec = featurelib.spec_from_settings({"features": [entry]})
    return featurelib.extract_frames(encode(Y), spec).drop(columns="time_s").to_numpy()


def mesh_of(ax) -> np.ndarray:
    """Return the values of the columns, shape (n_columns, width)."""
    [mesh] = [one for one in ax.collections if isinstance(one, QuadMesh)]
    return np.asarray(mesh.get_array()).reshape(mesh.get_coordinates().shape[0] - 1, -1).T


def close(found, expected, atol=1e-3) -> None:
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=atol)


def visible(levels: np.ndarray) -> np.ndarray:
    return np.maximum(levels, -80)


def test_stft_is_librosas_in_decibels_below_the_maximum():
    found = visible(mesh_of(PLOT.stft(Y, SR)))
    close(found, librosa.amplitude_to_db(np.abs(librosa.stft(Y)), ref=np.max).T, atol=0.01)


def test_mel_is_the_feature_log_mel():
    found = mesh_of(PLOT.mel(Y, SR))
    levels = frames_of("log_mel")
    close(found, levels - levels.max())
    mel = librosa.feature.melspectrogram(y=Y, sr=SR)
    close(visible(found), librosa.power_to_db(mel, ref=np.max).T, atol=0.01)


def test_mfcc_and_chroma_are_the_features():
    close(mesh_of(PLOT.mfcc(Y, SR)), frames_of("mfcc"))
    close(mesh_of(PLOT.chroma(Y, SR)), frames_of("chroma_stft"))


def test_cqt_is_librosas():
    ax = PLOT.cqt(Y, SR)
    tuning = librosa.estimate_tuning(y=Y, sr=SR)
    expected = librosa.amplitude_to_db(np.abs(librosa.cqt(Y, sr=SR, tuning=tuning)), ref=np.max)
    close(visible(mesh_of(ax)), expected.T, atol=0.1)
    # the bins are where the tuning puts them
    [mesh] = [one for one in ax.collections if isinstance(one, QuadMesh)]
    edges = mesh.get_coordinates()[:, 0, 1]
    frequencies = librosa.cqt_frequencies(84, fmin=librosa.note_to_hz("C1"), tuning=tuning)
    close(np.sqrt(edges[:-1] * edges[1:]), frequencies)


def test_parts_are_those_of_librosa_and_below_the_signals_maximum():
    D = librosa.stft(Y)
    reference = np.abs(D).max()
    for ax, part in zip(
        (PLOT.harmonic(Y, SR), PLOT.percussive(Y, SR)), librosa.decompose.hpss(D), strict=True
    ):
        component = librosa.istft(part, length=len(Y))
        expected = librosa.amplitude_to_db(np.abs(librosa.stft(component)), ref=reference)
        found = mesh_of(ax)
        close(np.maximum(found, -70), np.maximum(expected.T, -70), atol=0.1)


def test_lines_over_the_spectrogram_are_the_features_in_hertz():
    ax = PLOT.spectral_shape(Y, SR)
    lines = {line.get_label(): line for line in ax.get_lines()}
    assert len(lines) == 5
    expected = {
        "centroid": frames_of("spectral_centroid"),
        "roll-off (85 %)": frames_of("spectral_rolloff"),
        **{f"bandwidth, p = {p}": frames_of("spectral_bandwidth", p=p) for p in (2, 3, 4)},
    }
    for name, values in expected.items():
        close(lines[name].get_ydata(), values[:, 0])
        close(lines[name].get_xdata(), librosa.frames_to_time(range(N_FRAMES), sr=SR))


def test_onset_strength_and_tempo_are_the_features():
    ax = PLOT.onset_strength(Y, SR)
    close(ax.get_lines()[0].get_ydata(), frames_of("onset_strength")[:, 0])
    tempo = featurelib.extract_signal(
        Y, SR, featurelib.spec_from_settings({"features": ["tempo"]})
    )["tempo"][0]
    assert f"tempo {tempo:.1f} BPM" in ax.get_title(loc="left")


def test_zero_crossing_rate_is_the_feature():
    ax = PLOT.zero_crossing_rate(Y, SR)
    close(ax.get_lines()[0].get_ydata(), frames_of("zero_crossing_rate")[:, 0])


def test_zero_crossings_are_marked_where_the_sign_changes():
    ax = PLOT.zero_crossings(Y, SR)
    samples, marks = (line for line in ax.get_lines() if len(line.get_xdata()) > 2)
    y = np.asarray(samples.get_ydata())
    assert len(y) == round(0.02 * SR)
    starts = np.flatnonzero(librosa.zero_crossings(y, pad=False))
    close(marks.get_xdata(), 1000 * (starts - 0.5) / SR)
    assert f"{len(starts)} crossings" in ax.get_title(loc="right")
    # of all stretches side by side, this one is the loudest
    windows = np.lib.stride_tricks.sliding_window_view(Y, len(y))
    assert (windows == y).all(axis=1).any()
    whole = Y[: len(Y) // len(y) * len(y)].reshape(-1, len(y))
    close(np.sum(y**2), np.sum(whole**2, axis=1).max())


def test_power_spectrum_is_welchs_estimate():
    """In the middle: the first and last frames of featurelib reach into the padding."""
    y = noise(20.0)
    [line] = PLOT.power_spectrum(y, SR).get_lines()
    frequencies, density = scipy.signal.welch(
        y, SR, window="hann", nperseg=2048, noverlap=1536, detrend=False
    )
    close(line.get_xdata(), frequencies)
    np.testing.assert_allclose(line.get_ydata(), 10 * np.log10(density), atol=0.1)


def test_the_waveform_is_the_range_of_the_samples():
    [area] = PLOT.waveform(Y, SR).collections
    path = area.get_paths()[0].vertices
    per = 16
    assert per * 4096 >= len(Y) > per * 2048
    parts = [Y[i : i + per] for i in range(0, len(Y), per)]
    assert set(np.float32(path[:, 1])) == {f(one) for one in parts for f in (np.min, np.max)}
    assert path[:, 0].max() == pytest.approx(len(Y) / SR)


def test_an_offset_moves_the_axis_and_a_part_is_what_is_drawn():
    figure = PLOT.page(encode(Y), kinds="mfcc", offset=0.5, duration=1.0)
    ax = figure.axes[0]
    assert ax.get_xlim() == pytest.approx((0.5, 1.5), abs=1e-4)
    [mesh] = [one for one in ax.collections if isinstance(one, QuadMesh)]
    edges = mesh.get_coordinates()[0, :, 0]
    frames = librosa.frames_to_time(range(len(edges) - 1), sr=SR)
    close((edges[:-1] + edges[1:]) / 2, 0.5 + frames)
    part = Y[round(0.5 * SR) : round(1.5 * SR)]
    close(mesh_of(ax), librosa.feature.mfcc(y=part, sr=SR).T, atol=0.01)


def test_samples_and_channels_of_a_page_are_those_of_the_file():
    stereo = np.stack((Y, 0.5 * Y))
    y = mesh_of(PLOT.stft(stereo, SR))
    file = PLOT.page(encode(stereo.T), kinds="stft").axes[0]
    assert np.array_equal(y, mesh_of(file))
    assert np.array_equal(y, mesh_of(PLOT.page(stereo, sr=SR, kinds="stft").axes[0]))


def test_columns_of_a_long_file_are_the_loudest_or_the_mean_of_their_frames():
    y = np.concatenate([noise(10.0, sr=8000, seed=i, level=0.1 * i) for i in range(1, 21)])
    page = PLOT.page(y, sr=8000, kinds=["stft", "mfcc"])
    levels, mfcc = (mesh_of(ax) for ax in page.axes)
    S = librosa.amplitude_to_db(np.abs(librosa.stft(y)), ref=np.max).T
    every = librosa.feature.mfcc(y=y, sr=8000).T
    n = len(S) // 2
    assert len(levels) == len(mfcc) == -(-len(S) // 2)
    close(visible(levels)[:n], S[: 2 * n].reshape(n, 2, -1).max(axis=1), atol=0.01)
    close(mfcc[:n], every[: 2 * n].reshape(n, 2, -1).mean(axis=1), atol=0.01)

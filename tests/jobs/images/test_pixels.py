"""Colours and files of images: librosa's levels, matplotlib's specgram."""

from __future__ import annotations

import io
import json

import librosa
import matplotlib as mpl
import numpy as np
import pytest
from matplotlib import mlab
from PIL import Image

import featurelib
from jobs.images.pixels import levels, png
from jobs.images.style import SERIES, ImageStyle, image_style
from tests.support.audio_files import tone

SR = 22_050


def drawn(style: ImageStyle, y: np.ndarray) -> np.ndarray:
    [rows] = featurelib.Extractor(style.features, raster=style.raster).signal(y, SR)
    return levels(rows.columns[SERIES][0], style.top_db)


def music(seconds: float = 3.0) -> np.ndarray:
    y = np.concatenate([tone(f, seconds=seconds / 3, amplitude=a) for f, a in TONES])
    return y.astype(np.float32)


TONES = ((220.0, 0.5), (880.0, 0.05), (3000.0, 0.001))


def test_mel_levels_are_librosas() -> None:
    y = music()
    S = librosa.feature.melspectrogram(y=y, sr=SR)
    db = librosa.power_to_db(S, ref=np.max, top_db=60)
    wanted = np.rint(255 * (db[::-1] + 60) / 60).astype(int)
    found = drawn(image_style(width=S.shape[1], top_db=60.0), y).astype(int)
    assert found.shape == wanted.shape
    assert np.abs(found - wanted).max() <= 1
    assert found.max() == 255
    assert found.min() == 0


def test_linear_levels_are_librosas() -> None:
    y = music()
    D = np.abs(librosa.stft(y)) ** 2
    db = librosa.power_to_db(D, ref=np.max, top_db=80)
    wanted = np.rint(255 * (db[::-1] + 80) / 80).astype(int)
    style = image_style(scale="linear", width=D.shape[1], height=1025)
    assert np.abs(drawn(style, y).astype(int) - wanted).max() <= 1


@pytest.mark.parametrize("size", [(57, 1025), (256, 256), (20, 100)])
def test_the_tutorials_levels_are_those_of_specgram(size: tuple[int, int]) -> None:
    y = music(9)
    power, _, _ = mlab.specgram(y[: 5 * SR], NFFT=2048, Fs=2, noverlap=128, mode="psd")
    assert power.shape == (1025, 57)
    for axis, n in zip((1, 0), size, strict=True):
        power = averaged(power, n, axis)
    db = 10 * np.log10(power[::-1])
    wanted = np.rint(255 * (db - db.min()) / (db.max() - db.min())).astype(int)
    style = image_style("tutorial", width=size[0], height=size[1])
    found = drawn(style, y)
    assert np.abs(found.astype(int) - wanted).max() <= 1


def averaged(S: np.ndarray, n: int, axis: int) -> np.ndarray:
    """Average over n equal shares of an axis, by repeating each value n times."""
    repeated = np.moveaxis(np.repeat(S, n, axis=axis), axis, -1)
    means = repeated.reshape(*repeated.shape[:-1], n, -1).mean(axis=-1)
    return np.moveaxis(means, -1, axis)


def test_equal_numbers_are_one_style_whatever_their_type() -> None:
    """As numbers of the command line, of Python and of NumPy are."""
    values = {"width": 64, "top_db": 70.0, "duration": 5.0, "segment": 1.0, "sr": 8000}
    style = image_style(**values, n_fft=512, hop_length=128)
    for kind in (int, np.int64, np.float32):
        whole = int if kind is np.float32 else kind
        numbers = {
            name: (kind if isinstance(value, float) else whole)(value)
            for name, value in values.items()
        }
        other = image_style(**numbers, n_fft=whole(512), hop_length=whole(128))
        assert other == style
        assert other.fingerprint == style.fingerprint
        assert json.dumps(other.recorded().values) == json.dumps(style.recorded().values)


@pytest.mark.parametrize("style", [image_style(), image_style("tutorial")])
def test_silence_is_dark(style: ImageStyle) -> None:
    assert not drawn(style, np.zeros(SR, np.float32)).any()


def test_quiet_and_loud_signals_are_drawn_alike() -> None:
    y = music()
    style = image_style(top_db=40.0)
    np.testing.assert_array_equal(drawn(style, y), drawn(style, y / 4))


def test_no_power_at_all_does_not_stretch_the_range_of_the_tutorial() -> None:
    """Digital silence is minus infinity there, which matplotlib leaves out."""
    power = np.array([[1.0, 1e-4], [1e-8, 0.0]])
    np.testing.assert_array_equal(levels(power, None), [[128, 0], [255, 0]])
    assert not levels(np.ones((3, 2)), None).any()  # one level is the lowest


def test_low_frequencies_are_at_the_bottom_and_time_goes_right() -> None:
    y = np.zeros(2 * SR, np.float32)
    y[SR:] = 0.5 * np.sin(2 * np.pi * 300 * np.arange(SR) / SR)
    colours = drawn(image_style(width=64), y)
    row, column = np.unravel_index(colours.argmax(), colours.shape)
    assert row > 64
    assert column > 32


def test_a_png_file_has_the_colours_of_the_map() -> None:
    style = image_style(colormap="viridis")
    colours = np.arange(256, dtype=np.uint8).reshape(8, 32)
    image = Image.open(io.BytesIO(png(colours, style.palette)))
    assert (image.format, image.mode, image.size) == ("PNG", "P", (32, 8))
    np.testing.assert_array_equal(np.asarray(image), colours)
    wanted = mpl.colormaps["viridis"](np.arange(256), bytes=True)[:, :3]
    np.testing.assert_array_equal(np.asarray(image.convert("RGB")).reshape(256, 3), wanted)

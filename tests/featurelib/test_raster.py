"""Series as grids of fixed size: means over equal shares of time and rows, in bounded memory."""

from __future__ import annotations

import librosa
import numpy as np
import pytest

import featurelib
from featurelib.raster import RasterBuffer

SR = 22_050


def noise(seconds: float, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    y = 0.1 * rng.standard_normal(round(seconds * SR))
    return (y * np.linspace(1, 0.01, y.size)).astype(np.float32)


def spec_of(family: str = "melspectrogram", **fields: object) -> featurelib.FeatureSpec:
    entry = {"family": family, "as": "s", "statistics": ["series"]}
    return featurelib.FeatureSpec.from_dict({"name": "raster", "features": [entry], **fields})


def grids(spec: featurelib.FeatureSpec, raster: featurelib.Raster, y: np.ndarray) -> list:
    chunks = list(featurelib.Extractor(spec, raster=raster).signal(y, SR))
    return [grid for rows in chunks for grid in rows.columns["s_series"]]


def shares(S: np.ndarray, n: int) -> np.ndarray:
    """Average over n equal shares of the last axis, by the integral of steps."""
    steps = np.arange(S.shape[-1] + 1)
    edges = np.linspace(0, S.shape[-1], n + 1)
    integral = np.concatenate(
        [np.zeros((*S.shape[:-1], 1)), np.cumsum(S, axis=-1, dtype=float)], -1
    )
    at = np.apply_along_axis(lambda c: np.interp(edges, steps, c), -1, integral)
    return np.diff(at, axis=-1) * n / S.shape[-1]


def expected(S: np.ndarray, columns: int, rows: int) -> np.ndarray:
    """Return the grid of a librosa spectrogram, shape (columns, rows)."""
    return shares(shares(S, columns).T, rows)


@pytest.mark.parametrize(("columns", "rows"), [(64, 128), (302, 32), (500, 300), (1, 1), (50, 7)])
def test_a_mel_grid_is_the_mean_of_librosas_powers(columns: int, rows: int) -> None:
    y = noise(7)
    S = librosa.feature.melspectrogram(y=y, sr=SR)
    [grid] = grids(spec_of(), featurelib.Raster(columns=columns, rows=rows), y)
    assert grid.dtype == np.float32
    if columns > 1:  # so that frames are not grouped
        np.testing.assert_allclose(grid, expected(S, columns, rows), rtol=1e-4)
    else:
        np.testing.assert_allclose(grid, expected(S, columns, rows), rtol=1e-3)


def test_magnitudes_are_squared_and_edges_weigh_half() -> None:
    y = noise(3)
    D = np.abs(librosa.stft(y)) ** 2
    raster = featurelib.Raster(columns=30, rows=100, power=2)
    [grid] = grids(spec_of("stft"), raster, y)
    np.testing.assert_allclose(grid, expected(D, 30, 100), rtol=1e-4)
    raster = featurelib.Raster(columns=30, rows=1025, power=2, one_sided=True)
    [grid] = grids(spec_of("stft"), raster, y)
    D[[0, -1]] /= 2
    np.testing.assert_allclose(grid, expected(D, 30, 1025), rtol=1e-4)


@pytest.mark.parametrize("n_frames", [16, 17, 31, 100, 1000])
@pytest.mark.parametrize("block", [1, 7, 144])
def test_long_signals_are_grouped_by_the_least_power_of_two(n_frames: int, block: int) -> None:
    S = np.random.default_rng(1).random((n_frames, 3)).astype(np.float32)
    buffer = RasterBuffer(featurelib.Raster(columns=1, rows=3), 3)
    for start in range(0, n_frames, block):
        buffer.add(S[start : start + block])
    np.testing.assert_allclose(buffer.grid()[0], S.mean(axis=0), rtol=1e-5)

    buffer = RasterBuffer(featurelib.Raster(columns=3, rows=3), 3)
    for start in range(0, n_frames, block):
        buffer.add(S[start : start + block])
    size = 1
    while -(-n_frames // size) > 3 * 16:
        size *= 2
    steps = np.repeat(
        [S[i : i + size].mean(axis=0) for i in range(0, n_frames, size)], size, axis=0
    )[:n_frames]
    np.testing.assert_allclose(buffer.grid(), shares(steps.T, 3).T, rtol=1e-4)


def test_memory_is_bounded() -> None:
    """An hour of frames in a grid of the size of an image."""
    buffer = RasterBuffer(featurelib.Raster(columns=64, rows=32), 1025)
    block = np.ones((144, 1025), np.float32)
    for _ in range(1080):
        buffer.add(block)
    assert buffer._means.nbytes == 16 * 64 * 32 * 4
    np.testing.assert_allclose(buffer.grid(), 1.0, rtol=1e-6)


def test_a_grid_may_be_larger_than_a_series() -> None:
    [grid] = grids(spec_of(), featurelib.Raster(columns=4096, rows=2100), noise(0.1))
    assert grid.shape == (4096, 2100)


def test_each_segment_has_a_grid() -> None:
    y = noise(5)
    spec = spec_of(level={"length_s": 2.0, "last": "pad"})
    found = grids(spec, featurelib.Raster(columns=20, rows=16), y)
    padded = np.concatenate([y, np.zeros(SR, np.float32)])
    assert len(found) == 3
    for i, grid in enumerate(found):
        S = librosa.feature.melspectrogram(y=padded[2 * i * SR : 2 * (i + 1) * SR], sr=SR)
        np.testing.assert_allclose(grid, expected(S, 20, 16), rtol=1e-3, atol=1e-12)


def test_grids_of_many_segments_come_from_temporary_files() -> None:
    spec = spec_of(level={"length_s": 0.1})
    found = grids(spec, featurelib.Raster(columns=64, rows=64), noise(80))
    assert len(found) == 800
    assert {grid.shape for grid in found} == {(64, 64)}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"columns": 0, "rows": 1}, "columns=0 must be at least 1"),
        ({"columns": 1, "rows": 5000}, "rows=5000 must be at most 4096"),
        ({"columns": 1, "rows": 1, "power": 3}, "power=3 must be at most 2"),
        ({"columns": 1.5, "rows": 1}, "columns=1.5 is not a whole number"),
    ],
)
def test_sizes_are_checked(values: dict[str, object], message: str) -> None:
    with pytest.raises(featurelib.SpecError, match=message):
        featurelib.Raster(**values)


def test_a_series_of_numbers_has_no_grid() -> None:
    with pytest.raises(featurelib.ParameterError, match="a feature with rows"):
        featurelib.Extractor(spec_of("rms"), raster=featurelib.Raster(columns=1, rows=1))

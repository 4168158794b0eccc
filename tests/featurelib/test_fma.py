"""The preset of the FMA table against the formulas of its authors."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import librosa
import numpy as np
import pytest
import soundfile

from featurelib import extract_columns, extract_signal_columns, feature_names, get_spec
from featurelib import spec_from_settings as spec_of
from tests.featurelib.support import oracle, recipes
from tests.featurelib.support.signals import chord, noise

STATISTICS = ("kurtosis", "max", "mean", "median", "min", "skew", "std")

#: Features that are quantized: a rounding error can change 41 frames of them.
QUANTIZED = ("chroma_cens", "tonnetz")

MUSIC = (
    "sorohanro_-_solo-trumpet-06.hq.ogg",
    "Kevin_MacLeod_-_Vibe_Ace.hq.ogg",
    "Hungarian_Dance_number_5_-_Allegro_in_F_sharp_minor_(string_orchestra).hq.ogg",
)


def columns_of(series: dict[str, np.ndarray]) -> Iterator[tuple[str, tuple[float, float]]]:
    """Name, value and root mean square of each column of the table."""
    for name, rows in series.items():
        for i, row in enumerate(rows):
            for statistic in STATISTICS:
                value = oracle.statistic(row, statistic)
                yield f"{name}_{statistic}_{i + 1:02}", (value, oracle.root_mean_square(row))


def assert_equal_to_its_formulas(y: np.ndarray, sr: int) -> float:
    """Compare all columns; return the share of the frames of CENS that differ."""
    row = extract_signal_columns(y, sr, "fma-v1")
    series = recipes.fma_series(y, sr)
    expected = dict(columns_of(series))
    assert set(expected) == set(feature_names("fma-v1"))
    cens = {"family": "chroma_cens", "pad_mode": "reflect", "statistics": ["series"]}
    (found,) = extract_signal_columns(y, sr, spec_of({"sr": "native", "features": [cens]}))[
        "chroma_cens_series"
    ]
    assert len(found) == series["chroma_cens"].shape[1]
    flipped = np.abs(found - series["chroma_cens"].T).max(axis=1) > 1e-5
    if flipped.any():
        expected = {k: v for k, v in expected.items() if not k.startswith(QUANTIZED)}
    oracle.assert_close(row, expected)
    return float(flipped.mean())


@pytest.mark.parametrize("sr", [22_050, 44_100])
@pytest.mark.parametrize("file", MUSIC)
def test_columns_equal_the_formulas_on_music(real_audio: Path, file: str, sr: int) -> None:
    y, _ = librosa.load(real_audio / "music" / file, sr=sr, duration=20)
    share = assert_equal_to_its_formulas(y, sr)
    print(f"{file} at {sr} Hz: {share:.2%} of the frames of CENS differ")
    assert share < 0.1


@pytest.mark.parametrize("sr", [16_000, 48_000, 96_000])
def test_columns_equal_the_formulas_at_other_rates(sr: int) -> None:
    y = np.concatenate((chord(2.0, sr=sr, detune=0.2), noise(1.0, sr=sr, level=0.01)))
    assert assert_equal_to_its_formulas(y, sr) < 0.5


@pytest.mark.parametrize("n", [3, 4, 5, 100])
@pytest.mark.filterwarnings("ignore:n_fft=", "ignore:Trying to estimate tuning")
def test_columns_of_a_few_samples_equal_the_formulas(n: int) -> None:
    """Chroma is relative: it must not be made of rounding errors."""
    assert assert_equal_to_its_formulas(noise(1.0, seed=n)[:n], 44_100) == 0


def test_a_file_is_analysed_at_its_own_rate(tmp_path: Path) -> None:
    y = chord(1.5, sr=32_000)
    soundfile.write(tmp_path / "a.wav", y, 32_000, subtype="FLOAT")
    row = extract_columns(tmp_path / "a.wav", "fma-v1")
    expected = extract_signal_columns(y, 32_000, "fma-v1")
    assert all(row[name] == expected[name] for name in feature_names("fma-v1"))


def test_names_are_those_of_the_table() -> None:
    names = feature_names("fma-v1")
    assert len(names) == 518
    assert {"zcr_kurtosis_01", "rmse_std_01", "mfcc_median_20", "tonnetz_skew_06"} <= set(names)
    assert get_spec("fma-v1").sr == "native"

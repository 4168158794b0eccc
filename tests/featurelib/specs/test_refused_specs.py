"""Values that a spec cannot have are named."""

from __future__ import annotations

from typing import Any

import librosa
import numpy as np
import pytest

from featurelib import (
    FeatureSpec,
    SpecError,
    spec_from_settings,
)
from tests.featurelib.support.specs import GENRE


def defaults(**values: Any) -> dict[str, Any]:
    return {"defaults": values}


def entry(**values: Any) -> dict[str, Any]:
    return {"features": [values]}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"sr": 500}, ["sr=500", "1000"]),
        ({"sr": 22050.5}, ["sr=22050.5", "whole number", "native"]),
        ({"sr": True}, ["sr=True"]),
        ({"sr": "nativ"}, ["sr='nativ'", "native"]),
        (defaults(n_fft=2047), ["n_fft=2047", "even"]),
        (defaults(n_fft=0), ["n_fft=0"]),
        (defaults(n_fft=131_072), ["n_fft=131072"]),
        (defaults(n_fft=2048.0), ["n_fft=2048.0", "whole number"]),
        (defaults(hop_length=4096), ["rms", "hop_length=4096", "n_fft=2048"]),
        (defaults(hop_length=-1), ["hop_length=-1"]),
        (defaults(window="han"), ["window='han'", "hann"]),
        (defaults(pad_mode="wrap"), ["pad_mode='wrap'", "constant"]),
        (defaults(center=1), ["center=1"]),
        ({"duration": 0}, ["duration=0"]),
        ({"duration": float("inf")}, ["duration=inf"]),
        ({"duration": "30"}, ["duration='30'"]),
        ({"duration": 1e305}, ["duration=1e+305", "too large"]),
        ({"offset": -1}, ["offset=-1"]),
        ({"channels": "left"}, ["channels='left'", "mix"]),
        ({"level": "segments"}, ["level", "'segments'", "segment"]),
        ({"level": {"length_s": -1}}, ["level", "length_s=-1"]),
        ({"level": {"lenght_s": 1}}, ["level", "'lenght_s'", "did you mean 'length_s'"]),
        (defaults(top_db=10**400), ["top_db=1000", "too large"]),
        (defaults(n_bands=2000), ["n_bands", "at most 6"]),
        (
            {
                "features": [
                    {
                        "family": "mfcc",
                        "n_mels": 8192,
                        "n_mfcc": 8192,
                        "statistics": ["mean", "std", "var"],
                    }
                ]
            },
            ["mfcc", "8192 rows", "20000 columns"],
        ),
        (defaults(n_chroma=10**9), ["chroma_stft", "n_chroma=1000000000", "at most 1200"]),
        (defaults(roll_percent=1.0), ["spectral_rolloff", "roll_percent=1.0"]),
        (defaults(roll_percent=0), ["roll_percent=0"]),
        (defaults(quantile=1), ["spectral_contrast", "quantile=1"]),
        (defaults(n_mels=10), ["mfcc", "n_mfcc=20", "n_mels=10"]),
        (defaults(n_mel=64), ["defaults", "'n_mel'", "did you mean 'n_mels'"]),
        ({"defaults": ["n_mels"]}, ["defaults=['n_mels']"]),
        (defaults(columns="{name}{row}"), ["rms", "{name}{row}", "several columns", "{stat}"]),
        (defaults(columns="{nam}"), ["rms", "{nam}", "{name}, {row} and {stat}"]),
        (defaults(columns="{name.__class__}{stat}"), ["rms", "{name}, {row} and {stat} only"]),
        (defaults(columns="{row:{row}}{stat}"), ["rms", "no template", "{row:{row}}"]),
        (defaults(columns="{name}{stat:9999999999}"), ["rms", "at most 99"]),
        ({"features": [{"family": ["rms"]}]}, ["unknown family ['rms']", "rms"]),
        (
            {"features": ["rms", {"family": "delta", "of": ["rms"]}]},
            ["delta: of=['rms'] is no earlier entry", "there are rms"],
        ),
        (defaults(columns="{stat}{row}"), ["rms", "zero_crossing_rate", "'mean'", "columns"]),
        (entry(family="rms", pooled=True), ["pooled", "rms"]),
        (entry(family="mfcc", pooled="mfcc"), ["pooled='mfcc'", "true or false"]),
        ({"name": ""}, ["name=''"]),
        ({"features": ()}, ["features"]),
        ({"features": "rms"}, ["features", "rms"]),
        ({"features": {"rms": ["mean"]}}, ["features", "rms", "list"]),
        ({"features": [["rms", ["mean"]]]}, ["features", "['rms', ['mean']]"]),
        (entry(statistics=["mean"]), ["features", "lacks 'family'", "mfcc"]),
        (entry(family="mfc"), ["'mfc'", "did you mean 'mfcc'"]),
        (entry(family="mfcc", n_mfc=13), ["mfcc", "'n_mfc'", "did you mean 'n_mfcc'"]),
        (entry(family="rms", n_mels=13), ["rms", "'n_mels'", "n_fft"]),
        (entry(family="rms", **{"as": ""}), ["rms", "as=''"]),
        (entry(family="rms", **{"as": 3}), ["rms", "as=3"]),
        (entry(family="rms", statistics=["men"]), ["rms", "'men'", "did you mean 'mean'", "q25"]),
        (entry(family="rms", statistics=()), ["rms", "statistic"]),
        (entry(family="rms", statistics="mean"), ["rms", "'mean'", "list"]),
        (entry(family="rms", statistics=["mean", "mean"]), ["rms", "twice"]),
        ({"features": ["rms", "rms"]}, ["rms", "twice", "as = "]),
        (entry(family="tuning", statistics=["mean"]), ["tuning", "statistics = []"]),
        (entry(family="stft", statistics=["median"]), ["stft", "median", "duration", "segments"]),
        (entry(family="delta"), ["delta", "of = "]),
        (entry(family="rms", of="mfcc"), ["rms", "of='mfcc'", "signal"]),
        (
            {"features": ["mfcc", {"family": "delta", "of": "mfc"}]},
            ["delta", "of='mfc'", "did you mean 'mfcc'"],
        ),
        ({"features": [{"family": "delta", "of": "mfcc"}, "mfcc"]}, ["of='mfcc'", "no earlier"]),
        ({"features": ["tuning", {"family": "delta", "of": "tuning"}]}, ["delta", "one value"]),
        (
            {"features": ["mfcc", {"family": "delta", "of": "mfcc", "delta_width": 4}]},
            ["delta", "delta_width=4", "odd"],
        ),
        (
            {"features": ["mfcc", {"family": "delta", "of": "mfcc", "delta_width": 3, "order": 3}]},
            ["delta", "order=3", "delta_width=3"],
        ),
        (entry(family="mfcc", fmin=500, fmax=400), ["mfcc", "fmin=500", "fmax=400"]),
        (entry(family="mfcc", fmin=12_000), ["mfcc", "fmin=12000", "sr=22050"]),
        ({"sr": 8000}, ["spectral_contrast", "sr=8000", "n_bands", "at most 5"]),
        (defaults(n_fft=64, hop_length=32), ["spectral_contrast", "n_fft=64"]),
        ({"import": "mine.py"}, ["import='mine.py'", "list"]),
        ({"import": ["nowhere/mine.py"]}, ["import", "nowhere/mine.py", "No such file"]),
    ],
    ids=str,
)
def test_values_that_cannot_be_used_are_named(changes, words):
    with pytest.raises(SpecError) as caught:
        spec_from_settings({"preset": "genre-v1", **changes})
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message


@pytest.mark.parametrize("sr", [4_000, 6_400, 8_000, 11_025, 12_800, 12_801, 16_000, 22_050])
@pytest.mark.parametrize("n_bands", range(1, 8))
def test_contrast_is_refused_just_where_librosa_refuses_it(sr, n_bands):
    y = np.random.default_rng(0).standard_normal(4096).astype(np.float32)
    try:
        librosa.feature.spectral_contrast(y=y, sr=sr, n_bands=n_bands)
        librosa_can = True
    except librosa.ParameterError:
        librosa_can = False
    try:
        spec_from_settings({"preset": "genre-v1", "sr": sr, "defaults": {"n_bands": n_bands}})
        ours_can = True
    except SpecError:
        ours_can = False
    assert ours_can == librosa_can


def test_contrast_bounds_do_not_concern_specs_without_it():
    assert spec_from_settings({"sr": 4000, "features": ["rms"]}).sr == 4000


def test_unknown_fields_are_named_with_the_closest():
    with pytest.raises(SpecError, match=r"'duratoin'.*did you mean 'duration'\?"):
        FeatureSpec.from_dict({**GENRE.to_dict(), "duratoin": 256})
    with pytest.raises(SpecError, match=r"'hop_lenght'.*did you mean 'hop_length', in.*defaults\?"):
        FeatureSpec.from_dict({**GENRE.to_dict(), "hop_lenght": 256})
    with pytest.raises(SpecError, match=r"'n_fft'.*goes into an entry of features.*defaults"):
        FeatureSpec.from_dict({**GENRE.to_dict(), "n_fft": 256})
    with pytest.raises(SpecError, match=r"'xyz'.*there are name, sr, offset"):
        FeatureSpec.from_dict({**GENRE.to_dict(), "xyz": 256})
    with pytest.raises(SpecError, match="lacks 'features'"):
        FeatureSpec.from_dict({"name": "x"})

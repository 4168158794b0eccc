from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from jobs.demo.synthesize import CORRUPT, EMPTY, GENRES, SILENT, synthesize, synthesize_corpus


@pytest.mark.slow
def test_a_seed_gives_the_same_corpus(tmp_path: Path) -> None:
    first = synthesize_corpus(tmp_path / "a", n_files=15, seed=1)
    second = synthesize_corpus(tmp_path / "b", n_files=15, seed=1)
    other = synthesize_corpus(tmp_path / "c", n_files=15, seed=2)
    assert len(first) == 15
    assert [p.relative_to(tmp_path / "a") for p in first] == [
        p.relative_to(tmp_path / "b") for p in second
    ]
    bad = {tmp_path / "a" / CORRUPT, tmp_path / "a" / EMPTY}
    for a, b in zip(first, second, strict=True):
        if a not in bad:
            np.testing.assert_array_equal(soundfile.read(a)[0], soundfile.read(b)[0])
    assert first[0].read_bytes() != other[0].read_bytes()


def test_the_special_files_are_what_they_say(tmp_path: Path) -> None:
    synthesize_corpus(tmp_path, n_files=3)
    assert (tmp_path / EMPTY).stat().st_size == 0
    assert not soundfile.read(tmp_path / SILENT)[0].any()
    with pytest.raises(soundfile.LibsndfileError):
        soundfile.info(tmp_path / CORRUPT)


@pytest.mark.parametrize("sr", [8000, 22050, 48000])
@pytest.mark.parametrize("genre", GENRES)
def test_signals_are_finite_and_not_clipped(genre: str, sr: int) -> None:
    y = synthesize(genre, sr, channels=2)
    assert y.dtype == np.float32
    assert 2 <= len(y) / sr <= 5
    assert y.shape[1] == 2
    assert 0.25 < np.max(np.abs(y)) <= 0.9


def test_fewer_files_than_special_ones_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="n_files=2"):
        synthesize_corpus(tmp_path, n_files=2)

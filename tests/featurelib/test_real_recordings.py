"""All columns on real recordings, against librosa on the same file."""

from __future__ import annotations

import io

import librosa
import numpy as np
import pytest
import soundfile
import soxr

from featurelib import AudioError, extract_columns, get_spec
from tests.featurelib.support import oracle
from tests.featurelib.support.signals import encode
from tests.featurelib.test_features import tuning_of
from tests.support.audio_files import REAL_AUDIO, real_recordings
from tests.support.quick import slow_but_every

RECORDINGS = [*real_recordings("music", "clips"), *real_recordings("digits")[::10]]
#: Some of the music, without the placeholder files that no decoder opens.
UPSAMPLED = [path for path in real_recordings("music")[::3] if path.stat().st_size > 1000]
ODD = sorted(path for path in (REAL_AUDIO / "odd").rglob("*") if path.is_file())


def name(path):
    return str(path.relative_to(REAL_AUDIO))


@pytest.mark.parametrize("path", slow_but_every(12, RECORDINGS), ids=name)
def test_columns_and_tuning_equal_librosa(path):
    try:
        y, sr = librosa.load(path)
    except Exception:  # noqa: BLE001  whatever librosa raises, featurelib raises AudioError
        with pytest.raises(AudioError):
            extract_columns(path)
        return
    spec = get_spec("genre-v1")
    row = extract_columns(path, spec)
    oracle.assert_close(row, oracle.columns(y, spec))
    info = soundfile.info(str(path))
    assert row["duration_s"] == [info.frames / info.samplerate]
    assert tuning_of(y) == librosa.estimate_tuning(S=np.abs(librosa.stft(y)) ** 2, sr=sr)

    y, _ = librosa.load(path, duration=30)
    oracle.assert_close(extract_columns(path, "tutorial-v1"), oracle.tutorial(y))


@pytest.mark.parametrize("subtype", ["FLOAT", "PCM_16"])
@pytest.mark.parametrize("path", slow_but_every(4, UPSAMPLED), ids=name)
def test_recordings_that_were_upsampled_equal_librosa(path, subtype):
    # Above 4 kHz there are only rounding errors. Therefore the contrast shows any difference in
    # the samples or in the precision of the transform.
    y, sr = soundfile.read(path, frames=400_000, always_2d=True)
    y = soxr.resample(soxr.resample(y, sr, 8000), 8000, 44_100)
    data = encode(y, 44_100, subtype=subtype)
    y, sr = librosa.load(io.BytesIO(data))
    spec = get_spec("genre-v1")
    oracle.assert_close(extract_columns(data, spec), oracle.columns(y, spec))


@pytest.mark.parametrize("path", ODD, ids=name)
def test_odd_files_give_finite_rows_or_an_error(path):
    try:
        row = extract_columns(path)
    except AudioError as error:
        message = str(error)
        row = None
    if row is None:
        assert message
        assert "\n" not in message
        return
    numbers = [value for (value,) in row.values() if isinstance(value, float)]
    assert np.isfinite(np.float32(numbers)).all()
    assert row["duration_s"][0] > 0

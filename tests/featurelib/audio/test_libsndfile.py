"""The libsndfile decoder: errors and positions."""

from __future__ import annotations

import io

import numpy as np
import pytest

from featurelib.audio.libsndfile import LibsndfileDecoder
from tests.featurelib.support.signals import chord, encode


def flac(sr: int) -> tuple[bytes, np.ndarray]:
    y = (chord(1.3, sr=sr) * 2**15).astype(np.int16)
    return encode(y, sr, fmt="FLAC"), y / np.float32(2**15)


@pytest.mark.parametrize("block", [1_000, 10_000, 20_799, 20_800, 20_801, 30_000])
@pytest.mark.parametrize("sr", [16_000, 44_100])
def test_no_samples_are_made_of_another_file_behind_it(block, sr):
    data, y = flac(16_000)
    data += flac(sr)[0]
    decoder = LibsndfileDecoder(io.BytesIO(data), len(data))
    parts = []
    for _ in range(50):
        part = np.empty((block, 1), np.float32)
        n, _ = decoder.read(part)
        parts.append(part[:n, 0])
    decoder.close()
    np.testing.assert_array_equal(np.concatenate(parts), y)

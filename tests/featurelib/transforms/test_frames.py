from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from featurelib.transforms.frames import Framer


def frames_of(y, *, n_fft, hop_length, pad, pad_mode, block_frames, cuts):
    """All frames, and a mask of the samples that belong to the signal."""
    framer = Framer(
        n_fft=n_fft, hop_length=hop_length, pad=pad, pad_mode=pad_mode, block_frames=block_frames
    )
    frames, signal = [], []

    def take(blocks):
        for block in blocks:
            assert block.n_frames <= block_frames
            assert len(block.y) == (block.n_frames - 1) * hop_length + n_fft
            real = np.zeros(len(block.y), bool)
            real[block.low : block.high] = True
            for t in range(block.n_frames):
                stretch = slice(t * hop_length, t * hop_length + n_fft)
                frames.append(block.y[stretch].copy())
                signal.append(real[stretch])

    for part in np.split(y, cuts):
        part = part.copy()
        take(framer.push(part))
        part[:] = np.nan  # the caller may reuse the memory
    take(framer.finish())
    return np.array(frames), np.array(signal)


@given(
    length=st.integers(1, 120),
    n_fft=st.sampled_from([2, 8, 16]),
    hop=st.integers(1, 40),
    centred=st.booleans(),
    pad_mode=st.sampled_from(["constant", "edge", "reflect"]),
    block_frames=st.integers(1, 9),
    cuts=st.lists(st.integers(0, 120), max_size=6),
)
def test_blocks_are_the_frames_of_the_padded_signal(
    length, n_fft, hop, centred, pad_mode, block_frames, cuts
):
    y = np.arange(1, length + 1, dtype=np.float32)
    pad = n_fft // 2 if centred else 0
    padded = np.pad(y, pad, mode=pad_mode)
    real = np.pad(np.ones(length, bool), pad)
    starts = range(0, len(padded) - n_fft + 1, hop)
    frames, signal = frames_of(
        y,
        n_fft=n_fft,
        hop_length=hop,
        pad=pad,
        pad_mode=pad_mode,
        block_frames=block_frames,
        cuts=sorted(min(cut, length) for cut in cuts),
    )
    assert len(frames) == len(starts)
    for frame, is_real, start in zip(frames, signal, starts, strict=True):
        np.testing.assert_array_equal(frame, padded[start : start + n_fft])
        np.testing.assert_array_equal(is_real, real[start : start + n_fft])


def test_too_short_a_signal_gives_no_frame():
    frames, _ = frames_of(
        np.ones(7, np.float32),
        n_fft=8,
        hop_length=4,
        pad=0,
        pad_mode="constant",
        block_frames=4,
        cuts=[],
    )
    assert len(frames) == 0


@pytest.mark.parametrize("n", [1, 2])
def test_padding_wider_than_the_signal(n):
    y = np.arange(1, n + 1, dtype=np.float32)
    frames, _ = frames_of(
        y, n_fft=16, hop_length=16, pad=8, pad_mode="reflect", block_frames=2, cuts=[]
    )
    np.testing.assert_array_equal(frames[0], np.pad(y, 8, mode="reflect")[:16])

"""Decoding of a file to the samples from which features are computed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from featurelib import audio
from featurelib.errors import AudioError, ParameterError
from featurelib.extraction.stretch import stretch
from featurelib.parameters import SR_LIMITS

if TYPE_CHECKING:
    from featurelib.audio.sources import Source

#: Most bytes of samples in memory.
MAX_BYTES = 4 * 2**30


def load(
    source: Source,
    *,
    sr: int | None = 22_050,
    mono: bool = True,
    offset: float = 0.0,
    duration: float | None = None,
) -> tuple[np.ndarray, int]:
    """Decode an audio file, as `librosa.load`.

    The samples are bit-equal to those from which featurelib computes features. Unlike
    `librosa.load`, it reads every supported format, and all audio of concatenated or damaged
    files.

    Parameters
    ----------
    source : str, PathLike, bytes, memoryview or binary file object
        As for `featurelib.extract_columns`.
    sr : int or None
        Sampling rate to which the samples are resampled [Hz]; None for the rate of the file.
    mono : bool
        Mix the channels down to their mean, before resampling.
    offset : float
        Duration to skip at the beginning [s].
    duration : float or None
        Duration to read after the offset [s]; None for all.

    Returns
    -------
    y : np.ndarray [shape=(n,) or (channels, n), dtype=float32]
        Samples. Two-dimensional only if the file has several channels and `mono` is false.
    sr : int
        Sampling rate of `y` [Hz].

    Raises
    ------
    AudioError
        If the content cannot be used, or takes more than 4 GB (``too_long``).
    OSError
        If the source cannot be opened or read.
    ParameterError
        If an argument is invalid.

    Examples
    --------
    >>> import featurelib
    >>> y, sr = featurelib.load("song.wav")
    >>> y.shape, sr
    ((66150,), 22050)
    >>> y, sr = featurelib.load("song.wav", sr=None, mono=False, duration=1.0)
    >>> y.shape, sr
    ((2, 44100), 44100)
    """
    check_part(sr, offset, duration)
    with stretch(source, offset, duration) as file:
        while True:
            try:
                return _samples(file.blocks(), sr, mono)
            except audio.MoreAudioError:
                continue


def check_part(sr: int | None, offset: float, duration: float | None) -> None:
    """Check what part of a file is read, and at which rate; see `load`.

    Raises
    ------
    ParameterError
        If an argument is invalid.
    """
    low, high = SR_LIMITS
    if sr is not None and not (isinstance(sr, int | np.integer) and low <= sr <= high):
        raise ParameterError(f"sr={sr!r} is not a whole number from {low} to {high} Hz, nor None")
    if not _is_number(offset) or offset < 0:
        raise ParameterError(f"offset={offset!r} must be a number of seconds, at least 0")
    if duration is not None and (not _is_number(duration) or duration <= 0):
        raise ParameterError(f"duration={duration!r} must be a number of seconds above 0, or None")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | np.number) and bool(np.isfinite(value))


def _samples(blocks: audio.Blocks, sr: int | None, mono: bool) -> tuple[np.ndarray, int]:
    parts: list[list[np.ndarray]] = []
    resamplers: list[audio.JoiningResampler] = []
    n_bytes = 0
    for block_sr, block in blocks:
        channels = [audio.mix_down(block)] if mono else list(np.ascontiguousarray(block.T))
        if not parts:
            sr = int(sr or block_sr)
            resamplers = [audio.JoiningResampler(sr) for _ in channels]
            parts = [[] for _ in channels]
        if len(channels) != len(parts):
            raise AudioError(
                "unsuitable",
                f"{len(parts)} channels at first, {len(channels)} later: use mono=True",
            )
        for y, resampler, part in zip(channels, resamplers, parts, strict=True):
            part.append(np.array(resampler.push(y, block_sr)))
            n_bytes += part[-1].nbytes
        if n_bytes > MAX_BYTES:
            raise AudioError(
                "too_long", f"more than {MAX_BYTES // 2**30} GB of samples: give a duration"
            )
    if sr is None or not parts:
        raise AudioError("empty", "no samples")
    for resampler, part in zip(resamplers, parts, strict=True):
        part.append(resampler.finish())
    y = np.stack([np.concatenate(part) for part in parts])
    return (y[0] if len(y) == 1 else y), sr

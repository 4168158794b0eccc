"""Part of an audio file, given by an offset and a duration."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from featurelib import audio
from featurelib.errors import AudioError

if TYPE_CHECKING:
    from featurelib.audio.sources import Source

#: Extra duration that is decoded [s]: the end cannot be rounded while the rate is unknown.
_SLACK_S = 0.002


class Stretch:
    """Part of an open audio file.

    Parameters
    ----------
    file : AudioFile
        The file.
    offset : float
        Duration to skip at the beginning [s].
    duration : float or None
        Duration to decode after the offset [s]; None for all.
    """

    def __init__(self, file: audio.AudioFile, offset: float, duration: float | None) -> None:
        self._file, self._offset, self._duration = file, offset, duration

    def blocks(self, block_samples: int = audio.BLOCK_SAMPLES) -> audio.Blocks:
        """Decode the samples; see `AudioFile.blocks`."""
        blocks = self._file.blocks(block_samples)  # the file ends them after the duration
        return cut(blocks, self._offset, self._duration) if self._offset else blocks

    def facts(self) -> audio.DecodingFacts:
        """Return the facts about the decoding; call it after the last block."""
        return self._file.facts()

    def tags(self) -> dict[str, str]:
        """Return the tags of the file; call it after the last block."""
        return self._file.tags()


@contextmanager
def stretch(
    source: Source, offset: float, duration: float | None, *, with_tags: bool = False
) -> Iterator[Stretch]:
    """Open a part of an audio file; see `Stretch` and `open_audio`."""
    until = duration
    if offset and until is not None:
        until += offset + _SLACK_S
    with audio.open_audio(source, until, with_tags=with_tags) as file:
        yield Stretch(file, offset, duration)


def cut(blocks: audio.Blocks, offset: float, duration: float | None) -> audio.Blocks:
    """Drop the samples before an offset and after a duration.

    Both are rounded down to samples, as in `librosa.load`.

    Parameters
    ----------
    blocks : iterable of (int, np.ndarray)
        Sampling rates [Hz] and samples of shape (n, channels).
    offset : float
        Duration to skip [s].
    duration : float or None
        Duration to keep after the offset [s]; None for all.

    Returns
    -------
    iterable of (int, np.ndarray)
        Blocks that remain.

    Raises
    ------
    AudioError
        If no sample remains.
    """
    if not offset and duration is None:
        return blocks
    return _cut(blocks, offset, duration)


def _cut(blocks: audio.Blocks, skip_s: float, left_s: float | None) -> audio.Blocks:
    offset = skip_s
    sr = skip = left = 0
    is_begun = False
    for block_sr, block in blocks:
        if block_sr != sr:
            if sr:  # another stream, at another rate
                skip_s, left_s = skip / sr, None if left_s is None else left / sr
            sr, skip = block_sr, int(skip_s * block_sr)
            left = 0 if left_s is None else int(left_s * block_sr)
        part = block[skip:]
        skip -= len(block) - len(part)
        if left_s is not None:
            part = part[:left]
            left -= len(part)
        if len(part):
            is_begun = True
            yield sr, part
    if offset and sr and not is_begun:
        raise AudioError(
            "too_short",
            f"it ends before the offset of {offset:g} s, or the duration is less than a sample",
        )

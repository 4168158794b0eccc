"""Samples of a file by featurelib, and by soundfile and PyAV for comparison."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

import av
import numpy as np
import soundfile

from featurelib.audio import DecodingFacts, MoreAudioError, open_audio

#: Sampling rate [Hz] and samples of shape (n, channels).
Signal = tuple[int, np.ndarray]


@dataclass(frozen=True)
class Heard:
    """Decoded signals in the order of the file (see `merged`), and facts about the decoding."""

    signals: list[Signal]
    facts: DecodingFacts

    @property
    def samples(self) -> np.ndarray:
        (signal,) = self.signals
        return signal[1]

    @property
    def seconds(self) -> float:
        return seconds(self.signals)


def listen(source: Any, *, duration: float | None = None, block_samples: int = 65_536) -> Heard:
    """Decode with featurelib."""
    with open_audio(source, duration) as audio:
        while True:
            try:
                blocks = [(sr, block.copy()) for sr, block in audio.blocks(block_samples)]
            except MoreAudioError:
                continue
            return Heard(merged(blocks), audio.facts())


def merged(parts: list[Signal]) -> list[Signal]:
    """Join neighbours of equal rate and number of channels."""
    signals: list[tuple[int, list[np.ndarray]]] = []
    for sr, y in parts:
        if signals and (signals[-1][0], signals[-1][1][0].shape[1]) == (sr, y.shape[1]):
            signals[-1][1].append(y)
        else:
            signals.append((sr, [y]))
    return [(sr, np.concatenate(ys)) for sr, ys in signals]


def seconds(signals: list[Signal]) -> float:
    return sum(len(y) / sr for sr, y in signals)


def by_soundfile(data: bytes) -> Signal:
    y, sr = soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)
    return sr, y


def by_pyav(data: bytes, *, container: str | None = None) -> Signal:
    """Samples of an undamaged file by FFmpeg, as float32."""
    parts = []
    with av.open(io.BytesIO(data), format=container) as file:
        for frame in file.decode(audio=0):
            y = frame.to_ndarray()
            y = y.T if frame.format.is_planar else y.reshape(-1, frame.layout.nb_channels)
            if y.dtype.kind == "i":
                y = y.astype(np.float32) / np.float32(2.0 ** (8 * y.itemsize - 1))
            parts.append(y.astype(np.float32))
            sr = frame.sample_rate
    return sr, np.concatenate(parts)


def rms(y: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(y, dtype=np.float64))))

"""Mel spectrogram."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from featurelib import filters, kernels
from featurelib.features.base import Feature, rate, stft_arguments
from featurelib.graph import Block, Blockwise, Node, Operator
from featurelib.transforms.mel import Mel


@dataclass(frozen=True, kw_only=True)
class MelSpectrogram(Feature):
    """Power in mel bands.

    Equal to `librosa.feature.melspectrogram`.
    """

    family: ClassVar[str] = "melspectrogram"

    mel: Mel = Mel()

    @property
    def width(self) -> int:
        return self.mel.n_mels

    @property
    def has_rows(self) -> bool:
        return True

    def inputs(self) -> tuple[Node, ...]:
        return (self.mel.stft,)  # the node `mel` has the levels only

    def check(self, sr: int | None) -> None:
        self.mel.check(sr)

    def definition(self, row: int | None, sr: int | None) -> str:
        return f"power of a frame in {mel_band(self.mel, row)}"

    def librosa(self, sr: int | None) -> str:
        return melspectrogram_call(self.mel, sr)

    def operator(self, sr: int) -> Operator:
        mel = self.mel
        bank = filters.mel(sr, mel.stft.frames.n_fft, mel.n_mels, mel.fmin, mel.fmax)

        def powers(block: Block) -> Block:
            out = np.empty((block.n_frames, mel.n_mels), np.float32)
            kernels.filters.band_powers(block.x, *bank, out)
            return Block(out, block.n_frames)

        return Blockwise(powers)


def mel_band(mel: Mel, row: int | None) -> str:
    """Return a phrase for one of the mel bands, or for each."""
    which = f"each of {mel.n_mels} mel bands" if row is None else f"mel band {row + 1}"
    which += "" if row is None else f" of {mel.n_mels}"
    return f"{which} (Slaney){limits_phrase(mel)}"


def limits_phrase(mel: Mel) -> str:
    """Return a phrase for the range of the bands; empty for the whole range."""
    if not mel.fmin and mel.fmax is None:
        return ""
    top = "half the sampling rate" if mel.fmax is None else f"{mel.fmax:.12g} Hz"
    return f" from {mel.fmin:.12g} Hz to {top}"


def limit_arguments(mel: Mel) -> str:
    """Return the arguments of a librosa call for the range of the bands."""
    limits = f", fmin={mel.fmin:.12g}" if mel.fmin else ""
    return limits + (f", fmax={mel.fmax:.12g}" if mel.fmax is not None else "")


def melspectrogram_call(mel: Mel, sr: int | None) -> str:
    """Return the librosa call that gives the mel spectrogram."""
    return (
        f"librosa.feature.melspectrogram(y=y, sr={rate(sr)}, {stft_arguments(mel.stft)}, "
        f"n_mels={mel.n_mels}{limit_arguments(mel)})"
    )

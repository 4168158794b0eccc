"""Mel-frequency cepstral coefficients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from featurelib import filters, kernels
from featurelib.errors import SpecError
from featurelib.features.base import Feature, rate, stft_arguments
from featurelib.graph import Block, Blockwise, Operator
from featurelib.parameters import parameter
from featurelib.transforms.mel import MelDb


@dataclass(frozen=True, kw_only=True)
class MFCC(Feature):
    """Cosine transform (orthonormal DCT-II) of the mel spectrum in dB."""

    family: ClassVar[str] = "mfcc"
    unit: ClassVar[str] = "dB"

    mel: MelDb = MelDb()
    n_mfcc: int = parameter(20, "coefficients kept", ge=1)

    @property
    def width(self) -> int:
        return self.n_mfcc

    @property
    def has_rows(self) -> bool:
        return True

    def check(self, sr: int | None) -> None:
        n_mels = self.mel.mel.n_mels
        if self.n_mfcc > n_mels:
            raise SpecError(f"n_mfcc={self.n_mfcc} must be at most n_mels={n_mels}")

    def definition(self, row: int | None, sr: int | None) -> str:
        which = "each coefficient" if row is None else f"coefficient {row}"
        mel = self.mel.mel
        where = ""
        if mel.fmin or mel.fmax is not None:
            top = "half the sampling rate" if mel.fmax is None else f"{mel.fmax:g} Hz"
            where = f" from {mel.fmin:g} Hz to {top}"
        return (
            f"{which} of the orthonormal DCT-II of a frame's power in {mel.n_mels} mel bands "
            f"(Slaney){where}, in dB, within {self.mel.top_db:g} dB of its maximum in the signal"
        )

    def librosa(self, sr: int | None) -> str:
        mel = self.mel.mel
        limits = f", fmin={mel.fmin:g}" if mel.fmin else ""
        limits += f", fmax={mel.fmax:g}" if mel.fmax is not None else ""
        call = (
            f"librosa.feature.mfcc(y=y, sr={rate(sr)}, {stft_arguments(mel.stft)}, "
            f"n_mels={mel.n_mels}, n_mfcc={self.n_mfcc}{limits})"
        )
        top_db = self.mel.top_db
        return call if top_db == 80 else f"{call} with top_db={top_db:g} in its dB"

    def operator(self, sr: int) -> Operator:
        dct = filters.dct(self.mel.mel.n_mels, self.n_mfcc)
        return Blockwise(lambda block: Block(kernels.filters.cepstra(block.x, dct), block.n_frames))

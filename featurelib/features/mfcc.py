"""Mel-frequency cepstral coefficients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from featurelib import filters, kernels
from featurelib.errors import SpecError
from featurelib.features.base import Feature, rate, stft_arguments
from featurelib.features.melspectrogram import limit_arguments, limits_phrase
from featurelib.graph import Block, Blockwise, Operator
from featurelib.parameters import parameter
from featurelib.transforms.mel import MelDb


@dataclass(frozen=True, kw_only=True)
class MFCC(Feature):
    """Cosine transform (orthonormal DCT-II) of the mel spectrum in dB.

    Equal to `librosa.feature.mfcc`.
    """

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
        return (
            f"{which} of the orthonormal DCT-II of a frame's power in {mel.n_mels} mel bands "
            f"(Slaney){limits_phrase(mel)}, in dB, within {self.mel.top_db:g} dB of its maximum "
            "in the signal"
        )

    def librosa(self, sr: int | None) -> str:
        mel = self.mel.mel
        limits = limit_arguments(mel)
        arguments = f"sr={rate(sr)}, {stft_arguments(mel.stft)}, n_mels={mel.n_mels}"
        top_db = self.mel.top_db
        if top_db == 80:
            return f"librosa.feature.mfcc(y=y, {arguments}, n_mfcc={self.n_mfcc}{limits})"
        power = f"librosa.feature.melspectrogram(y=y, {arguments}{limits})"
        S = f"librosa.power_to_db({power}, top_db={top_db:.12g})"
        return f"librosa.feature.mfcc(S={S}, n_mfcc={self.n_mfcc})"

    def operator(self, sr: int) -> Operator:
        dct = filters.dct(self.mel.mel.n_mels, self.n_mfcc)
        return Blockwise(lambda block: Block(kernels.filters.cepstra(block.x, dct), block.n_frames))

"""Mel spectrogram in dB."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from featurelib.features.base import Feature
from featurelib.features.melspectrogram import mel_band, melspectrogram_call
from featurelib.graph import Blockwise, Operator
from featurelib.transforms.mel import MelDb


@dataclass(frozen=True, kw_only=True)
class LogMel(Feature):
    """Power in mel bands, in dB.

    Equal to `librosa.power_to_db` of `librosa.feature.melspectrogram`.
    """

    family: ClassVar[str] = "log_mel"
    unit: ClassVar[str] = "dB"

    mel: MelDb = MelDb()

    @property
    def width(self) -> int:
        return self.mel.mel.n_mels

    @property
    def has_rows(self) -> bool:
        return True

    def definition(self, row: int | None, sr: int | None) -> str:
        return (
            f"power of a frame in {mel_band(self.mel.mel, row)}, in dB, at least 1e-10 (-100 dB) "
            f"and within {self.mel.top_db:g} dB of its maximum in the signal"
        )

    def librosa(self, sr: int | None) -> str:
        top_db = "" if self.mel.top_db == 80 else f", top_db={self.mel.top_db:g}"
        return f"librosa.power_to_db({melspectrogram_call(self.mel.mel, sr)}{top_db})"

    def operator(self, sr: int) -> Operator:
        return Blockwise(lambda block: block)

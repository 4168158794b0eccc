"""Chroma: energy by pitch class, on the signal's own tuning."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import numpy as np

from featurelib import banks
from featurelib.descriptors.base import Descriptor, stft_arguments
from featurelib.kernels import filters, peaks
from featurelib.spec import FeatureSpec
from featurelib.spectrum import SpectrumBlock
from featurelib.store import FrameStore
from featurelib.tuning import estimate_tuning

_PITCH_CLASSES = ("C", "C♯", "D", "D♯", "E", "F", "F♯", "G", "G♯", "A", "A♯", "B")

#: Range of the peaks that tell the tuning [Hz], and the least share of a frame's maximum.
_PEAK_RANGE = (150.0, 4000.0)
_PEAK_THRESHOLD = np.float32(0.1)

#: Spectra that are kept as they are: 4096 frames of 2048 samples.
_WHOLE_BYTES = 4096 * 1025 * 4


class ChromaStft(Descriptor):
    """Power in each pitch class, relative to the strongest of the frame.

    The filters depend on the tuning, which is known at the signal's end only, so the
    spectra are kept until then. Those of a long signal are condensed to what the chroma
    at any tuning can be interpolated from.
    """

    family = "chroma_stft"
    unit = "1"

    @classmethod
    def n_rows(cls, spec: FeatureSpec) -> int:
        return spec.n_chroma

    @classmethod
    def definition(cls, spec: FeatureSpec, row: int | None) -> str:
        which = f"each of {spec.n_chroma} pitch classes"
        if row is not None:
            name = f" ({_PITCH_CLASSES[row]})" if spec.n_chroma == 12 else ""
            which = f"pitch class {row + 1} of {spec.n_chroma}{name}"
        return (
            f"power of a frame in {which}, over that of its strongest class (0 for silence); "
            "pitch classes follow the tuning estimated from the file"
        )

    @classmethod
    def librosa(cls, spec: FeatureSpec) -> str:
        return (
            f"librosa.feature.chroma_stft(y=y, sr={spec.sr}, {stft_arguments(spec)}, "
            f"n_chroma={spec.n_chroma})"
        )

    def __init__(self, spec: FeatureSpec) -> None:
        self._spec = spec
        self._axis = (spec.sr, spec.n_fft, spec.n_chroma)
        self._low, self._high = peak_bins(spec)
        self._peaks = FrameStore(2)
        self._spectra: list[tuple[np.ndarray, int]] = []
        self._kept_bytes = 0
        self._condensed: FrameStore | None = None

    def update(self, block: SpectrumBlock) -> np.ndarray:
        spec = self._spec
        found = peaks.spectral_peaks(
            block.S,
            self._low,
            self._high,
            _PEAK_THRESHOLD,
            float(spec.sr),
            spec.n_fft,
            block.n_frames,
        )
        self._peaks.append(found)
        self._spectra.append((block.S, block.n_frames))
        self._kept_bytes += block.S.nbytes
        if self._kept_bytes > _WHOLE_BYTES:
            self._condense()
        return np.empty((0, spec.n_chroma))

    def _condense(self) -> None:
        n = banks.n_condensed(*self._axis[1:])
        if self._condensed is None:
            self._condensed = FrameStore(n)
        bank = banks.condensing_bank(*self._axis)
        for S, n_frames in self._spectra:
            if bank is None:
                power = np.square(S.transpose(0, 2, 1).reshape(-1, n)[:n_frames])
                self._condensed.append(power)
            else:
                self._condensed.append(filters.filtered(S, bank, n, n_frames))
        self._spectra.clear()

    def finish(self) -> Iterator[np.ndarray]:
        tuning = self.tuning()
        if self._condensed is not None:
            expand = banks.condensed_chroma(*self._axis, tuning)
            for chunk in self._condensed.chunks():
                raw = chunk.astype(np.float64) @ expand
                yield filters.relative_to_strongest(raw.astype(np.float32))
            return
        bank, n = banks.chroma_bank(*self._axis, tuning), self._spec.n_chroma
        chroma = [filters.filtered(S, bank, n, n_frames) for S, n_frames in self._spectra]
        if chroma:
            yield filters.relative_to_strongest(np.concatenate(chroma))

    def tuning(self) -> float:
        """Deviation of the signal from A440, in chroma bins within [-0.5, 0.5)."""
        return estimate_tuning(self._peaks, self._spec.n_chroma)


@lru_cache(maxsize=8)
def peak_bins(spec: FeatureSpec) -> tuple[int, int]:
    """First bin, and end, of those whose peaks tell the tuning."""
    freqs = banks.frequencies(spec.sr, spec.n_fft)
    low, high = _PEAK_RANGE
    # The last bin counts where its frequency is rounded to less than sr / 2, as in librosa.
    return (
        max(int(np.searchsorted(freqs, low)), 1),
        int(np.searchsorted(freqs, min(high, spec.sr / 2))),
    )

"""Chroma: energy by pitch class, on the signal's own tuning."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from featurelib import banks, kernels
from featurelib.descriptors.base import Descriptor, stft_arguments
from featurelib.spec import FeatureSpec
from featurelib.spectrum import SpectrumBlock
from featurelib.store import FrameStore

_PITCH_CLASSES = ("C", "C♯", "D", "D♯", "E", "F", "F♯", "G", "G♯", "A", "A♯", "B")

#: Range of the peaks that tell the tuning [Hz], and the least share of a frame's maximum.
_PEAK_RANGE = (150.0, 4000.0)
_PEAK_THRESHOLD = np.float32(0.1)

#: Bins of the tuning histogram.
_TUNING_STEPS = 100


class ChromaStft(Descriptor):
    """Power in each pitch class, relative to the strongest of the frame.

    The filters depend on the tuning, which is known at the signal's end only, so the power
    spectra are kept until then.
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
        freqs = banks.frequencies(spec.sr, spec.n_fft)
        low, high = _PEAK_RANGE
        # A peak has a neighbour on either side.
        self._low = max(int(np.searchsorted(freqs, low)), 1)
        self._high = min(int(np.searchsorted(freqs, min(high, spec.sr / 2))), len(freqs) - 1)
        self._power = FrameStore(len(freqs))
        self._peaks = FrameStore(2)

    def update(self, block: SpectrumBlock) -> np.ndarray:
        spec = self._spec
        self._power.append(block.power)
        peaks = kernels.spectral_peaks(
            block.power, self._low, self._high, _PEAK_THRESHOLD, float(spec.sr), spec.n_fft
        )
        self._peaks.append(np.stack(peaks, axis=1))
        return np.empty((0, spec.n_chroma))

    def finish(self) -> Iterator[np.ndarray]:
        spec = self._spec
        bank = banks.chroma_bank(spec.sr, spec.n_fft, spec.n_chroma, self.tuning())
        for power in self._power.chunks():
            # In float64, as float32 products change with the number of frames in a chunk.
            raw = power.astype(np.float64) @ bank
            strongest = raw.max(axis=1, keepdims=True)
            yield raw / np.where(strongest < kernels.TINY, 1.0, strongest)

    def tuning(self) -> float:
        """Deviation of the signal from A440, in chroma bins within [-0.5, 0.5)."""
        peaks = self._peaks.whole()
        return estimate_tuning(peaks[:, 0], peaks[:, 1], self._spec.n_chroma)


def estimate_tuning(frequencies: np.ndarray, heights: np.ndarray, bins_per_octave: int) -> float:
    """Most common deviation of the stronger half of spectral peaks from A440's scale.

    Parameters
    ----------
    frequencies : np.ndarray [shape=(n,), dtype=float32]
        Frequencies of the peaks [Hz].
    heights : np.ndarray [shape=(n,), dtype=float32]
        Heights of the peaks; those of at least the median count.
    bins_per_octave : int
        Steps of the scale.

    Returns
    -------
    float
        Lower edge of the fullest bin of a histogram in hundredths of a step; 0.0 without
        any peak. The arithmetic is in float32, as in `librosa.estimate_tuning`.
    """
    if not len(frequencies):
        return 0.0
    strong = frequencies[heights >= np.median(heights)]
    octaves = np.log2(strong / np.float32(440.0 / 16))
    residual = np.mod(np.float32(bins_per_octave) * octaves, np.float32(1))
    residual[residual >= 0.5] -= np.float32(1)
    edges = np.linspace(-0.5, 0.5, _TUNING_STEPS + 1)
    counts, _ = np.histogram(residual, edges)
    return float(edges[np.argmax(counts)])

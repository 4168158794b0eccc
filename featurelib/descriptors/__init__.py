"""The families of descriptors, by the names they have in specs."""

from __future__ import annotations

from featurelib.descriptors.base import Descriptor
from featurelib.descriptors.chroma import ChromaStft
from featurelib.descriptors.contrast import SpectralContrast
from featurelib.descriptors.mfcc import Mfcc
from featurelib.descriptors.rms import Rms
from featurelib.descriptors.shape import (
    SpectralBandwidth,
    SpectralCentroid,
    SpectralFlatness,
    SpectralFlux,
    SpectralRolloff,
)
from featurelib.descriptors.stft import Stft, StftDb
from featurelib.descriptors.zero_crossing_rate import ZeroCrossingRate

DESCRIPTORS: dict[str, type[Descriptor]] = {
    descriptor.family: descriptor
    for descriptor in (
        Rms,
        ZeroCrossingRate,
        SpectralCentroid,
        SpectralBandwidth,
        SpectralRolloff,
        SpectralFlatness,
        SpectralFlux,
        SpectralContrast,
        Mfcc,
        ChromaStft,
        Stft,
        StftDb,
    )
}

__all__ = ["DESCRIPTORS", "Descriptor"]

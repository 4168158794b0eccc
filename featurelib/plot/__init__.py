"""Pictures of one signal, drawn by librosa.display and matplotlib.

The values are those of featurelib's features. `page` draws a file of any length; the other
functions draw one kind of picture of samples in memory, in axes of the caller.
"""

from featurelib.plot.functions import (
    chroma,
    cqt,
    harmonic,
    mel,
    mfcc,
    onset_strength,
    percussive,
    power_spectrum,
    spectral_shape,
    stft,
    waveform,
    zero_crossing_rate,
    zero_crossings,
)
from featurelib.plot.kinds import KINDS
from featurelib.plot.pages import FORMATS, page, save

__all__ = [
    "FORMATS",
    "KINDS",
    "chroma",
    "cqt",
    "harmonic",
    "mel",
    "mfcc",
    "onset_strength",
    "page",
    "percussive",
    "power_spectrum",
    "save",
    "spectral_shape",
    "stft",
    "waveform",
    "zero_crossing_rate",
    "zero_crossings",
]

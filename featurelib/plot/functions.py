"""A function for each kind of picture, of samples in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from featurelib.plot.kinds import COLORMAP
from featurelib.plot.pages import draw

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes


def waveform(y: np.ndarray, sr: int, *, ax: Axes | None = None) -> Axes:
    """Draw the samples, as the range from the smallest to the largest in each column.

    Parameters
    ----------
    y : np.ndarray [shape=(n,) or (channels, n)]
        Samples. Channels are mixed down.
    sr : int
        Sampling rate [Hz].
    ax : matplotlib.axes.Axes, optional
        Axes to draw in; by default those of a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        The axes; their ``figure`` is the picture.

    Raises
    ------
    AudioError
        If the samples are not finite, or there are none.
    ParameterError
        If an argument is invalid.
    MissingExtraError
        If matplotlib is not installed.

    Examples
    --------
    >>> import featurelib
    >>> y, sr = featurelib.load("song.wav")
    >>> ax = featurelib.plot.waveform(y, sr)
    >>> ax.get_xlabel()
    'Time [s]'
    """
    return draw(y, sr, "waveform", ax=ax)


def power_spectrum(y: np.ndarray, sr: int, *, ax: Axes | None = None) -> Axes:
    """Draw the power spectral density [dB re 1/Hz].

    The mean over all frames is Welch's estimate (1967). Samples have no unit.

    Parameters
    ----------
    y, sr, ax
        As for `waveform`.

    Returns
    -------
    matplotlib.axes.Axes
        As for `waveform`, as are the errors.
    """
    return draw(y, sr, "power_spectrum", ax=ax)


def stft(y: np.ndarray, sr: int, *, ax: Axes | None = None, colormap: str = COLORMAP) -> Axes:
    """Draw the magnitudes of the short-time Fourier transform [dB].

    Parameters
    ----------
    y, sr, ax
        As for `waveform`.
    colormap : str
        Colour map, a name of matplotlib's.

    Returns
    -------
    matplotlib.axes.Axes
        As for `waveform`, as are the errors.
    """
    return draw(y, sr, "stft", ax=ax, colormap=colormap)


def mel(y: np.ndarray, sr: int, *, ax: Axes | None = None, colormap: str = COLORMAP) -> Axes:
    """Draw the power in 128 mel bands [dB].

    As the feature family ``log_mel``.

    Parameters
    ----------
    y, sr, ax
        As for `waveform`.
    colormap : str
        Colour map, a name of matplotlib's.

    Returns
    -------
    matplotlib.axes.Axes
        As for `waveform`, as are the errors.
    """
    return draw(y, sr, "mel", ax=ax, colormap=colormap)


def cqt(y: np.ndarray, sr: int, *, ax: Axes | None = None, colormap: str = COLORMAP) -> Axes:
    """Draw the magnitudes of the constant-Q transform [dB].

    Up to seven octaves from C1, as many as the rate allows.

    Parameters
    ----------
    y, sr, ax
        As for `waveform`.
    colormap : str
        Colour map, a name of matplotlib's.

    Returns
    -------
    matplotlib.axes.Axes
        As for `waveform`, as are the errors.
    """
    return draw(y, sr, "cqt", ax=ax, colormap=colormap)


def chroma(y: np.ndarray, sr: int, *, ax: Axes | None = None, colormap: str = COLORMAP) -> Axes:
    """Draw the power in each pitch class, relative to the strongest.

    As the feature family ``chroma_stft``.

    Parameters
    ----------
    y, sr, ax
        As for `waveform`.
    colormap : str
        Colour map, a name of matplotlib's.

    Returns
    -------
    matplotlib.axes.Axes
        As for `waveform`, as are the errors.
    """
    return draw(y, sr, "chroma", ax=ax, colormap=colormap)


def harmonic(y: np.ndarray, sr: int, *, ax: Axes | None = None, colormap: str = COLORMAP) -> Axes:
    """Draw the spectrogram of the harmonic part [dB].

    The separation is Fitzgerald's (2010), as in `librosa.effects.hpss`.

    Parameters
    ----------
    y, sr, ax
        As for `waveform`.
    colormap : str
        Colour map, a name of matplotlib's.

    Returns
    -------
    matplotlib.axes.Axes
        As for `waveform`, as are the errors.
    """
    return draw(y, sr, "harmonic", ax=ax, colormap=colormap)


def percussive(y: np.ndarray, sr: int, *, ax: Axes | None = None, colormap: str = COLORMAP) -> Axes:
    """Draw the spectrogram of the percussive part [dB].

    The separation is Fitzgerald's (2010), as in `librosa.effects.hpss`.

    Parameters
    ----------
    y, sr, ax
        As for `waveform`.
    colormap : str
        Colour map, a name of matplotlib's.

    Returns
    -------
    matplotlib.axes.Axes
        As for `waveform`, as are the errors.
    """
    return draw(y, sr, "percussive", ax=ax, colormap=colormap)


def mfcc(y: np.ndarray, sr: int, *, ax: Axes | None = None) -> Axes:
    """Draw 20 mel-frequency cepstral coefficients [dB].

    Parameters
    ----------
    y, sr, ax
        As for `waveform`.

    Returns
    -------
    matplotlib.axes.Axes
        As for `waveform`, as are the errors.
    """
    return draw(y, sr, "mfcc", ax=ax)


def onset_strength(y: np.ndarray, sr: int, *, ax: Axes | None = None) -> Axes:
    """Draw the onset strength [dB], with the tempo [BPM] and beats.

    The beats are found by dynamic programming (Ellis, 2007), unless the signal is longer than 2048
    frames.

    Parameters
    ----------
    y, sr, ax
        As for `waveform`.

    Returns
    -------
    matplotlib.axes.Axes
        As for `waveform`, as are the errors.
    """
    return draw(y, sr, "onset_strength", ax=ax)


def spectral_shape(y: np.ndarray, sr: int, *, ax: Axes | None = None) -> Axes:
    """Draw centroid, roll-off and bandwidths (p = 2, 3, 4) [Hz] over a spectrogram.

    Parameters
    ----------
    y, sr, ax
        As for `waveform`.

    Returns
    -------
    matplotlib.axes.Axes
        As for `waveform`, as are the errors.
    """
    return draw(y, sr, "spectral_shape", ax=ax)


def zero_crossing_rate(y: np.ndarray, sr: int, *, ax: Axes | None = None) -> Axes:
    """Draw the share of samples at which the sign changes.

    Parameters
    ----------
    y, sr, ax
        As for `waveform`.

    Returns
    -------
    matplotlib.axes.Axes
        As for `waveform`, as are the errors.
    """
    return draw(y, sr, "zero_crossing_rate", ax=ax)


def zero_crossings(y: np.ndarray, sr: int, *, ax: Axes | None = None) -> Axes:
    """Draw the zero crossings in the loudest 20 ms.

    Parameters
    ----------
    y, sr, ax
        As for `waveform`.

    Returns
    -------
    matplotlib.axes.Axes
        As for `waveform`, as are the errors.
    """
    return draw(y, sr, "zero_crossings", ax=ax)

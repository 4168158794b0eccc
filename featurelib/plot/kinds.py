"""Kinds of pictures: what each needs of a signal, and how it is drawn."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from featurelib import filters
from featurelib.errors import SpecError
from featurelib.features.chroma_stft import ChromaSTFT
from featurelib.features.log_mel import LogMel
from featurelib.features.mfcc import MFCC
from featurelib.features.onset_strength import OnsetStrength
from featurelib.features.spectral_bandwidth import SpectralBandwidth
from featurelib.features.spectral_centroid import SpectralCentroid
from featurelib.features.spectral_rolloff import SpectralRolloff
from featurelib.features.stft import STFTDb, STFTMagnitude
from featurelib.features.tempo import Tempo
from featurelib.features.zero_crossing_rate import ZeroCrossingRate
from featurelib.graph import Node, Samples, Signal
from featurelib.plot.analysis import Measured
from featurelib.plot.axes import (
    RANGE_DB,
    color_bar,
    column_times,
    heading,
    hertz_scale,
    note_of,
    relative_levels,
    show_columns,
    time_axis,
)
from featurelib.plot.beats import beats
from featurelib.plot.reduction import Columns, Last, Loudest, MeanPower, Reduced, Stretch
from featurelib.transforms.cqt import CQT
from featurelib.transforms.frames import Frames
from featurelib.transforms.hpss import Harmonic, Percussive
from featurelib.transforms.stft import STFT

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Colour map of spectrograms, if none is given.
COLORMAP = "magma"

#: Length of the stretch whose zero crossings are marked [s].
ZOOM_S = 0.02

#: Orders of the bandwidths.
ORDERS = (2, 3, 4)

_BLUE, _ORANGE, _RED = "#2f5d8a", "#e07b39", "#c0392b"
_LINES = ("#0077b6", "#2a9d3a", "#7b2cbf", "#d00000", "#f48c06")

_STFT = STFT()
_HOP_LENGTH = _STFT.frames.hop_length
_LOWEST_POWER = 1e-10

Results = dict[str, Node]


@dataclass(frozen=True)
class Kind:
    """One kind of picture.

    Attributes
    ----------
    title : str
        What it shows.
    nodes : callable
        Returns the nodes that are drawn, by name, at a sampling rate [Hz].
    draw : callable
        Draws a signal in axes; the last argument is the colour map of spectrograms.
    is_wide : bool
        Whether it takes both columns of a page.
    """

    title: str
    nodes: Callable[[int], Results]
    draw: Callable[[Kind, Axes, Measured, str], None]
    is_wide: bool = False


# --- samples -------------------------------------------------------------------------------


def _waveform_nodes(sr: int) -> Results:
    return {
        how: Columns(of=Signal(), how=how, most=4096)  # as wide as the picture, or wider
        for how in ("min", "max")
    }


def _draw_waveform(kind: Kind, ax: Axes, measured: Measured, colormap: str) -> None:
    low, high = (measured[node] for node in kind.nodes(measured.sr).values())
    times = measured.offset + low.edges() / measured.sr
    # A column lasts until the next one begins.
    below, above = (np.append(one.values, one.values[-1]) for one in (low, high))
    ax.fill_between(times, below, above, step="post", color=_BLUE, linewidth=0.6)
    limit = 1.1 * max(float(np.abs(below).max()), float(np.abs(above).max()), 1e-4)
    ax.set_ylim(-limit, limit)
    ax.set_ylabel("Amplitude")
    time_axis(ax, measured)
    heading(ax, kind.title, note_of(low, "minimum to maximum", "samples"))


def _zoom_nodes(sr: int) -> Results:
    return {"zoom": Loudest(length=max(round(ZOOM_S * sr), 2))}


def crossings(y: np.ndarray) -> np.ndarray:
    """Return the samples whose sign differs from that of the sample before.

    As in `librosa.zero_crossings`, values within 1e-10 of zero count as positive; the first sample
    is no crossing.
    """
    negative = y < -1e-10
    return np.flatnonzero(negative[1:] != negative[:-1]) + 1


def _draw_zoom(kind: Kind, ax: Axes, measured: Measured, colormap: str) -> None:
    found: Stretch = measured[kind.nodes(measured.sr)["zoom"]]
    places = crossings(found.y)
    start = measured.offset + found.start / measured.sr
    times = 1000 * np.arange(len(found.y)) / measured.sr
    ax.axhline(0, color="0.7", linewidth=0.8)
    ax.plot(times, found.y, color=_BLUE, linewidth=1, marker=".", markersize=3)
    # Halfway between the two samples whose signs differ.
    ax.plot(times[places] - 500 / measured.sr, np.zeros(len(places)), "o", color=_RED, markersize=5)
    limit = 1.1 * max(float(np.abs(found.y).max()), 1e-4)
    ax.set_ylim(-limit, limit)
    ax.set_xlim(0, 1000 * len(found.y) / measured.sr)
    ax.set_xlabel(f"Time from {start:.3f} s [ms]")
    ax.set_ylabel("Amplitude")
    n = len(places)
    heading(ax, kind.title, f"{n} crossing{'s' * (n != 1)} in the loudest {times[-1]:.0f} ms")


# --- lines ---------------------------------------------------------------------------------


def _line(ax: Axes, x: np.ndarray, y: np.ndarray, **how: Any) -> None:
    """Draw a line, or a dot if there is one value."""
    ax.plot(x, y, marker="." if len(x) == 1 else None, **how)


def _power_nodes(sr: int) -> Results:
    return {"power": MeanPower(of=STFTMagnitude(stft=_STFT))}


def _draw_power(kind: Kind, ax: Axes, measured: Measured, colormap: str) -> None:
    power = np.maximum(measured[kind.nodes(measured.sr)["power"]], _LOWEST_POWER)
    levels = 10 * np.log10(power * _STFT.density_scales(measured.sr))
    frequencies = np.arange(len(levels)) * measured.sr / _STFT.frames.n_fft
    hertz_scale(ax, "x")
    ax.plot(frequencies, levels, color=_BLUE, linewidth=1)
    ax.set_xlim(0, measured.sr / 2)
    if levels.max() - levels.min() < 10:  # of silence
        ax.set_ylim(levels.min() - 10, levels.max() + 10)
    ax.grid(alpha=0.3)
    ax.set_xlabel("Frequency [Hz]")
    ax.set_ylabel("Density [dB re 1/Hz]")
    heading(ax, kind.title, f"mean of all frames of {_STFT.frames.n_fft} samples")


def _onset_nodes(sr: int) -> Results:
    tempo = Tempo()
    return {
        "strength": Columns(of=OnsetStrength(), how="max"),
        "tempo": Last(of=tempo),
        "median": Columns(of=tempo.onset_strength, how="max"),  # what the tempo is that of
    }


def _draw_onsets(kind: Kind, ax: Axes, measured: Measured, colormap: str) -> None:
    nodes = kind.nodes(measured.sr)
    strength, tempo = measured[nodes["strength"]], measured[nodes["tempo"]]
    times = column_times(measured, strength, _HOP_LENGTH)
    values = strength.values[:, 0]
    ax.fill_between(times, 0, values, color=_ORANGE, alpha=0.35, linewidth=0)
    _line(ax, times, values, color=_ORANGE, linewidth=0.9)
    ax.set_ylim(0, 1.05 * max(float(values.max()), 1.0))
    ax.set_ylabel("Mean rise [dB]")
    time_axis(ax, measured)
    note = note_of(strength, "largest")
    if tempo and not note:  # of all frames
        period = 60 * measured.sr / (_HOP_LENGTH * tempo)
        found = beats(measured[nodes["median"]].values[:, 0], period)
        at = measured.offset + found * _HOP_LENGTH / measured.sr
        whole = ax.get_xaxis_transform()
        ax.vlines(at, 0, 1, transform=whole, color=_BLUE, alpha=0.5, linewidth=0.7, zorder=0)
        note = f"vertical lines: {len(found)} beat{'s' * (len(found) != 1)}"
    said = f"tempo {tempo:.1f} BPM" if tempo else "no tempo"
    heading(ax, f"{kind.title}, {said}", note)


def _rate_nodes(sr: int) -> Results:
    return {"rate": Columns(of=ZeroCrossingRate(), how="mean")}


def _draw_rate(kind: Kind, ax: Axes, measured: Measured, colormap: str) -> None:
    rate = measured[kind.nodes(measured.sr)["rate"]]
    times = column_times(measured, rate, _HOP_LENGTH)
    values = rate.values[:, 0]
    ax.fill_between(times, 0, values, color=_BLUE, alpha=0.25, linewidth=0)
    _line(ax, times, values, color=_BLUE, linewidth=0.8)
    ax.set_ylim(0, 1.05 * max(float(values.max()), 0.01))
    ax.set_ylabel("Crossings per sample")
    time_axis(ax, measured)
    heading(ax, kind.title, note_of(rate, "mean"))


# --- spectrograms --------------------------------------------------------------------------


def _levels_of(signal: Samples) -> Columns:
    stft = STFT(frames=Frames(signal=signal))
    return Columns(of=STFTDb(stft=stft), how="max")


def _stft_nodes(sr: int) -> Results:
    return {"levels": _levels_of(Signal())}


def _show_levels(
    ax: Axes, measured: Measured, levels: Reduced, values: np.ndarray, colormap: str, y_axis: str
) -> object:
    bin_width = measured.sr / _STFT.frames.n_fft
    mesh = show_columns(
        *(ax, measured, levels, values),
        y_edges=np.clip((np.arange(_STFT.n_bins + 1) - 0.5) * bin_width, 0, measured.sr / 2),
        hop_length=_HOP_LENGTH,
        y_axis=y_axis,
        cmap=colormap,
        vmin=-RANGE_DB,
        vmax=0,
    )
    ax.set_ylim(0, measured.sr / 2)
    ax.set_ylabel("Frequency [Hz]")
    return mesh


def _draw_stft(kind: Kind, ax: Axes, measured: Measured, colormap: str) -> None:
    levels = measured[kind.nodes(measured.sr)["levels"]]
    values, label = relative_levels(levels.values)
    mesh = _show_levels(ax, measured, levels, values, colormap, "log")
    color_bar(ax, mesh, label)
    heading(ax, kind.title, note_of(levels, "largest"))


def _component_nodes(component: Samples) -> Callable[[int], Results]:
    return lambda sr: {"levels": _levels_of(component), "whole": _levels_of(Signal())}


def _draw_component(kind: Kind, ax: Axes, measured: Measured, colormap: str) -> None:
    nodes = kind.nodes(measured.sr)
    levels, whole = measured[nodes["levels"]], measured[nodes["whole"]]
    values, label = relative_levels(levels.values, whole.values)
    mesh = _show_levels(ax, measured, levels, values, colormap, "log")
    color_bar(ax, mesh, label)
    heading(ax, kind.title, note_of(levels, "largest"))


def _mel_nodes(sr: int) -> Results:
    return {"levels": Columns(of=LogMel(), how="max")}


def _draw_mel(kind: Kind, ax: Axes, measured: Measured, colormap: str) -> None:
    node = kind.nodes(measured.sr)["levels"]
    levels = measured[node]
    values, label = relative_levels(levels.values)
    n_mels = values.shape[1]
    # Bands overlap by half: each is drawn up to halfway to the centres of its neighbours.
    edges = filters.mel_edges(2 * (n_mels + 1), 0.0, measured.sr / 2)[1::2]
    mesh = show_columns(
        *(ax, measured, levels, values),
        y_edges=edges,
        hop_length=_HOP_LENGTH,
        y_axis="mel",
        cmap=colormap,
        vmin=-RANGE_DB,
        vmax=0,
    )
    ax.set_ylabel("Frequency [Hz]")
    color_bar(ax, mesh, label)
    heading(ax, f"{kind.title}, {n_mels} bands", note_of(levels, "largest"))


def _mfcc_nodes(sr: int) -> Results:
    return {"mfcc": Columns(of=MFCC(), how="mean")}


def _draw_mfcc(kind: Kind, ax: Axes, measured: Measured, colormap: str) -> None:
    mfcc = measured[kind.nodes(measured.sr)["mfcc"]]
    # The first two are level and slope: they would leave no colours for the others.
    limit = max(float(np.abs(mfcc.values[:, 2:]).max()), 1.0)
    mesh = show_columns(
        *(ax, measured, mfcc, mfcc.values),
        y_edges=np.arange(mfcc.values.shape[1] + 1) - 0.5,
        hop_length=_HOP_LENGTH,
        cmap="RdBu_r",
        vmin=-limit,
        vmax=limit,
    )
    ax.set_yticks(range(0, mfcc.values.shape[1], 5))
    ax.set_ylabel("Coefficient")
    color_bar(ax, mesh, "Coefficient [dB]", extend="both")
    heading(ax, kind.title, note_of(mfcc, "mean"))


def _chroma_nodes(sr: int) -> Results:
    return {"chroma": Columns(of=ChromaSTFT(), how="mean")}


def _draw_chroma(kind: Kind, ax: Axes, measured: Measured, colormap: str) -> None:
    chroma = measured[kind.nodes(measured.sr)["chroma"]]
    mesh = show_columns(
        *(ax, measured, chroma, chroma.values),
        y_edges=np.arange(chroma.values.shape[1] + 1) - 0.5,
        hop_length=_HOP_LENGTH,
        y_axis="chroma",
        cmap=colormap,
        vmin=0,
        vmax=1,
    )
    color_bar(ax, mesh, "Power re strongest class")
    heading(ax, kind.title, note_of(chroma, "mean"))


def _cqt(sr: int) -> CQT:
    """Return the transform with as many octaves as the rate allows, up to seven."""
    for n_octaves in range(7, 1, -1):
        cqt = CQT(n_octaves=n_octaves)
        try:
            cqt.check(sr)
        except SpecError:
            continue
        return cqt
    return CQT(n_octaves=1)


def _cqt_nodes(sr: int) -> Results:
    cqt = _cqt(sr)
    _, tuning = cqt.inputs()
    return {"magnitudes": Columns(of=cqt, how="max"), "tuning": Last(of=tuning)}


def _draw_cqt(kind: Kind, ax: Axes, measured: Measured, colormap: str) -> None:
    nodes, cqt = kind.nodes(measured.sr), _cqt(measured.sr)
    magnitudes, tuning = measured[nodes["magnitudes"]], measured[nodes["tuning"]]
    levels = 20 * np.log10(np.maximum(magnitudes.values, np.float32(1e-5)))
    values, label = relative_levels(levels)
    mesh = show_columns(
        *(ax, measured, magnitudes, values),
        y_edges=np.array([cqt.frequency(i, tuning - 0.5) for i in range(cqt.n_bins + 1)]),
        hop_length=cqt.hop_length,
        y_axis="cqt_hz",
        cmap=colormap,
        vmin=-RANGE_DB,
        vmax=0,
    )
    ax.set_ylabel("Frequency [Hz]")
    color_bar(ax, mesh, label)
    heading(ax, kind.title, note_of(magnitudes, "largest"))


# --- lines over a spectrogram --------------------------------------------------------------


def _shape_nodes(sr: int) -> Results:
    lines: dict[str, Node] = {
        "centroid": SpectralCentroid(),
        "roll-off (85 %)": SpectralRolloff(),
        **{f"bandwidth, p = {p}": SpectralBandwidth(p=float(p)) for p in ORDERS},
    }
    columns = {name: Columns(of=node, how="mean") for name, node in lines.items()}
    return {"levels": _levels_of(Signal()), **columns}


def _draw_shape(kind: Kind, ax: Axes, measured: Measured, colormap: str) -> None:
    nodes = kind.nodes(measured.sr)
    levels = measured[nodes.pop("levels")]
    values, label = relative_levels(levels.values)
    # Lines stand out from grey.
    mesh = _show_levels(ax, measured, levels, values, "gray_r", "hz")
    for (name, node), color in zip(nodes.items(), _LINES, strict=True):
        line = measured[node]
        times = column_times(measured, line, _HOP_LENGTH)
        _line(ax, times, line.values[:, 0], color=color, linewidth=1, label=name)
    ax.legend(loc="upper right", ncols=5, fontsize=7, framealpha=0.85, borderaxespad=0.3)
    color_bar(ax, mesh, label)
    heading(ax, kind.title, note_of(levels, "largest (lines: mean)"))


#: All kinds by name, in the order of a page.
KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "waveform": Kind("Waveform", _waveform_nodes, _draw_waveform),
        "power_spectrum": Kind("Power spectrum", _power_nodes, _draw_power),
        "stft": Kind("Spectrogram (STFT)", _stft_nodes, _draw_stft),
        "mel": Kind("Mel spectrogram", _mel_nodes, _draw_mel),
        "cqt": Kind("Constant-Q transform", _cqt_nodes, _draw_cqt),
        "chroma": Kind("Chroma", _chroma_nodes, _draw_chroma),
        "harmonic": Kind("Harmonic part", _component_nodes(Harmonic()), _draw_component),
        "percussive": Kind("Percussive part", _component_nodes(Percussive()), _draw_component),
        "mfcc": Kind("MFCC", _mfcc_nodes, _draw_mfcc),
        "onset_strength": Kind("Onset strength", _onset_nodes, _draw_onsets),
        "spectral_shape": Kind(
            "Centroid, roll-off and bandwidth", _shape_nodes, _draw_shape, is_wide=True
        ),
        "zero_crossing_rate": Kind("Zero-crossing rate", _rate_nodes, _draw_rate),
        "zero_crossings": Kind("Zero crossings", _zoom_nodes, _draw_zoom),
    }
)

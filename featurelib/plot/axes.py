"""What the axes of all kinds have in common: time, frequency, levels, headings, colour bars."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from featurelib.extras import needing
from featurelib.plot.analysis import Measured
from featurelib.plot.reduction import Reduced

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Range of colours below the maximum [dB].
RANGE_DB = 80.0

#: Levels [dB] up to this one do not become 0 dB, so that silence is dark.
FAINT_DB = -20.0

#: From one tick to the next of times in minutes [s].
_TICKS_S = (15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 21_600, 43_200, 86_400)

#: Longest duration whose ticks are plain seconds [s].
PLAIN_S = 90.0

_MUTED = "0.4"


def heading(ax: Axes, title: str, note: str = "") -> None:
    """Set a title at the left, and a note in small grey letters at the right."""
    ax.set_title(title, loc="left", fontsize=10, fontweight="bold")
    ax.set_title(note, loc="right", fontsize=8, color=_MUTED)


def note_of(reduced: Reduced, how: str, what: str = "frames") -> str:
    """Return what a column is made of; empty if it is one frame."""
    if reduced.per_column == 1:
        return ""
    return f"each column: {how} of {reduced.per_column:,} {what}".replace(",", "\u202f")


def time_axis(ax: Axes, measured: Measured) -> None:
    """Make the x axis the time in the file, from the first sample to the last."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator, MultipleLocator, ScalarFormatter

    start, stop = measured.offset, measured.offset + measured.duration
    ax.set_xlim(start, stop)
    if stop - start <= PLAIN_S:
        ax.xaxis.set_major_locator(MaxNLocator(10, steps=[1, 2, 5, 10]))
        ax.xaxis.set_major_formatter(ScalarFormatter(useOffset=False))
        ax.set_xlabel("Time [s]")
        return
    step = next((one for one in _TICKS_S if (stop - start) / one <= 10), _TICKS_S[-1])
    step *= math.ceil((stop - start) / step / 10)
    with_hours = stop >= 3600
    ax.xaxis.set_major_locator(MultipleLocator(step))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: clock(x, with_hours=with_hours)))
    ax.set_xlabel("Time [h:min:s]" if with_hours else "Time [min:s]")


def clock(seconds: float, *, with_hours: bool) -> str:
    """Return a time as text: 1:02 (min:s) or 1:02:03 (h:min:s)."""
    minutes, s = divmod(round(seconds), 60)
    hours, rest = divmod(minutes, 60)
    return f"{hours}:{rest:02}:{s:02}" if with_hours else f"{minutes}:{s:02}"


def hertz_scale(ax: Axes, which: str) -> None:
    """Scale an axis as `librosa.display.specshow` does with "log": linear near 0 Hz."""
    from matplotlib.ticker import ScalarFormatter, SymmetricalLogLocator

    set_scale = ax.set_xscale if which == "x" else ax.set_yscale
    set_scale("symlog", base=2, linthresh=65.40639, linscale=0.5)
    axis = ax.xaxis if which == "x" else ax.yaxis
    axis.set_major_locator(SymmetricalLogLocator(axis.get_transform()))
    axis.set_major_formatter(ScalarFormatter())


def column_times(measured: Measured, reduced: Reduced, hop_length: int) -> np.ndarray:
    """Return the time of the middle of each column [s], for frames centred on samples."""
    return measured.offset + reduced.centers() * hop_length / measured.sr


def show_columns(
    ax: Axes,
    measured: Measured,
    reduced: Reduced,
    values: np.ndarray,
    *,
    y_edges: np.ndarray,
    hop_length: int,
    y_axis: str | None = None,
    **how: Any,
) -> Any:
    """Draw columns over time with `librosa.display.specshow`.

    Parameters
    ----------
    ax : Axes
        Where to draw.
    measured : Measured
        The signal.
    reduced : Reduced
        The columns.
    values : np.ndarray [shape=(n_columns, width)]
        What to draw of them.
    y_edges : np.ndarray [shape=(width + 1,)]
        Where each row begins, and the last one ends.
    hop_length : int
        From one frame to the next [samples].
    y_axis : str, optional
        Kind of the y axis, as for `specshow`.
    **how
        Further arguments of `specshow`.

    Returns
    -------
    QuadMesh
    """
    with needing("plot"):
        import librosa.display

    # Frame t is centred on sample t · hop_length, so it begins half a step before.
    x_edges = measured.offset + (reduced.edges() - 0.5) * hop_length / measured.sr
    mesh = librosa.display.specshow(
        values.T,
        x_coords=x_edges,
        y_coords=y_edges,
        x_axis="time",
        y_axis=y_axis,
        ax=ax,
        auto_aspect=False,
        **how,
    )
    time_axis(ax, measured)
    return mesh


def color_bar(ax: Axes, mesh: Any, label: str, **how: Any) -> None:
    """Add a colour bar beside the axes, whose own size does not change."""
    spec = ax.get_subplotspec()
    share = 1 / (len(spec.colspan) if spec else 1)  # as wide beside axes of two columns
    place = ax.inset_axes((1 + 0.015 * share, 0.0, 0.02 * share, 1.0))
    bar = ax.figure.colorbar(mesh, cax=place, label=label, **how)
    bar.outline.set_visible(False)


def relative_levels(levels: np.ndarray, whole: np.ndarray | None = None) -> tuple[np.ndarray, str]:
    """Return levels below a maximum [dB], and the label of their colour bar.

    A maximum below `FAINT_DB` is not the reference, so that silence is dark.

    Parameters
    ----------
    levels : np.ndarray
        Levels [dB] of magnitudes or powers.
    whole : np.ndarray, optional
        Levels of the whole signal, if `levels` are those of a part; the maximum is theirs.
    """
    maximum = float((levels if whole is None else whole).max())
    if maximum < FAINT_DB:
        return levels - np.float32(FAINT_DB), f"Level [dB re {FAINT_DB:g} dB]"
    what = "maximum" if whole is None else "signal's max."
    return levels - np.float32(maximum), f"Level [dB re {what}]"

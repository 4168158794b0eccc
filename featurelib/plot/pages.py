"""Figures of one or several kinds, and the files that they become."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from featurelib.errors import ParameterError
from featurelib.extras import needing
from featurelib.graph import Node
from featurelib.parameters import did_you_mean
from featurelib.plot.analysis import Measured, measure
from featurelib.plot.axes import PLAIN_S, clock
from featurelib.plot.kinds import COLORMAP, KINDS
from featurelib.plot.text import FONT, joined, shown

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from featurelib.audio.sources import Source

#: Formats of pictures.
FORMATS = ("png", "svg", "pdf")

#: Up to so many kinds are drawn below one another, more in two columns.
_ONE_COLUMN = 3

#: Widths with one column and with two [inch]: least and usual. Less has no room for the words.
_WIDTHS = {1: (8.0, 10.0), 2: (12.0, 15.0)}

#: Largest width [inch], and pixels of a side of a picture.
_WIDEST = 100.0
_MOST_PIXELS = 30_000

#: Heights of one kind and of the heading [inch].
_HEIGHT, _HEADING = 2.6, 0.5

#: Size of the heading [pt].
_TEXT_PT = 11.0

#: A mix whose peak is below this share of the channels' peak is cancelled.
_CANCELLED = 0.01


def kinds_of(names: str | Iterable[str] | None) -> tuple[str, ...]:
    """Return the names of kinds, checked and each once; all if none is given.

    Raises
    ------
    ParameterError
        If there is no such kind.
    """
    given = (names,) if isinstance(names, str) else tuple(names or KINDS)
    for name in given:
        if name not in KINDS:
            raise ParameterError(
                f"there is no kind {name!r}{did_you_mean(str(name), KINDS)} (there are"
                f" {', '.join(KINDS)})"
            )
    return tuple(dict.fromkeys(given))


def check_colormap(name: str) -> str:
    """Return the name of a colour map of matplotlib.

    Raises
    ------
    ParameterError
        If there is none of this name.
    """
    with needing("plot"):
        from matplotlib import colormaps
    if name not in colormaps:
        raise ParameterError(
            f"there is no colour map {name!r}{did_you_mean(str(name), colormaps)}; some are"
            " magma, viridis, inferno, cividis, gray_r"
        )
    return name


def nodes_of(kinds: Sequence[str], sr: int) -> list[Node]:
    """Return the nodes that kinds need at a sampling rate [Hz]."""
    return [node for kind in kinds for node in KINDS[kind].nodes(sr).values()]


def draw(
    y: np.ndarray, sr: int, kind: str, *, ax: Axes | None = None, colormap: str = COLORMAP
) -> Axes:
    """Draw one kind of picture of samples in memory.

    Parameters
    ----------
    y : np.ndarray [shape=(n,) or (channels, n)]
        Samples. Channels are mixed down.
    sr : int
        Sampling rate [Hz].
    kind : str
        A name of `KINDS`.
    ax : matplotlib.axes.Axes, optional
        Axes to draw in; by default those of a new figure.
    colormap : str
        Colour map of spectrograms.

    Returns
    -------
    matplotlib.axes.Axes
        The axes; their `figure` is the picture.

    Raises
    ------
    AudioError, ParameterError, MissingExtraError
        As for `page`.
    """
    [kind] = kinds_of(kind)
    colormap = check_colormap(colormap)
    if not isinstance(y, np.ndarray):
        raise ParameterError(f"y must be an array of samples, not {type(y).__name__}")
    measured = measure(y, lambda rate: nodes_of([kind], rate), sr=sr)
    if ax is None:
        ax = _new_figure(_WIDTHS[1][1], 3.0).add_subplot()
    KINDS[kind].draw(KINDS[kind], ax, measured, colormap)
    return ax


def page(
    source: Source | np.ndarray,
    *,
    kinds: str | Iterable[str] | None = None,
    sr: int | None = 22_050,
    offset: float = 0.0,
    duration: float | None = None,
    title: str | None = None,
    colormap: str = COLORMAP,
    width: float | None = None,
    dpi: float = 100.0,
) -> Figure:
    """Draw a file, or samples in memory, as one page.

    The file is read once, block by block, and reduced to at most a few thousand columns. So memory
    does not grow with its length. Some kinds keep data until the end of the file in temporary
    files (`TMPDIR`): about 1 GB for each hour, if all kinds are drawn.

    Parameters
    ----------
    source : str, PathLike, bytes, memoryview, binary file object or np.ndarray
        As for `featurelib.load`; or samples with the rate `sr`, shape (n,) or (channels, n).
    kinds : str or iterable of str, optional
        Names of `KINDS`; by default all.
    sr : int or None
        Sampling rate to which a file is resampled [Hz]; None for its own. Channels are mixed
        down.
    offset : float
        Duration to skip at the beginning [s].
    duration : float or None
        Duration to draw after the offset [s]; None for all.
    title : str, optional
        First line of the page; by default the name of the file.
    colormap : str
        Colour map of spectrograms, a name of matplotlib's.
    width : float, optional
        Width of the page [inch]; 10, or 15 for two columns.
    dpi : float
        Dots per inch.

    Returns
    -------
    matplotlib.figure.Figure
        The page. It is independent of `matplotlib.pyplot`, and a notebook shows it.

    Raises
    ------
    AudioError
        If the content cannot be used.
    OSError
        If the source cannot be opened or read.
    ParameterError
        If an argument is invalid.
    MissingExtraError
        If matplotlib is not installed.

    Examples
    --------
    >>> import featurelib
    >>> figure = featurelib.plot.page("song.wav", kinds=["waveform", "mel"])
    >>> figure.savefig("song.png")
    """
    names = kinds_of(kinds)
    colormap = check_colormap(colormap)
    n_columns = 1 if len(names) <= _ONE_COLUMN else 2
    places = _places(names, n_columns)
    n_rows = 1 + places[-1][0]
    size = _size(width, dpi, n_columns, n_rows)
    measured = measure(
        *(source, lambda rate: nodes_of(names, rate)), sr=sr, offset=offset, duration=duration
    )
    figure = _new_figure(*size, dpi=dpi)
    grid = figure.add_gridspec(n_rows, n_columns)
    for name, place in zip(names, places, strict=True):
        ax = figure.add_subplot(grid[place])
        KINDS[name].draw(KINDS[name], ax, measured, colormap)
    _add_heading(figure, _name_of(source) if title is None else title, measured)
    return figure


def _places(names: Sequence[str], n_columns: int) -> list[tuple[int, slice]]:
    """Return the row and the columns of each kind."""
    places = []
    row = column = 0
    for name in names:
        width = n_columns if KINDS[name].is_wide else 1
        if column + width > n_columns:
            row, column = row + 1, 0
        places.append((row, slice(column, column + width)))
        column += width
    return places


def _size(width: float | None, dpi: float, n_columns: int, n_rows: int) -> tuple[float, float]:
    """Return width and height [inch]."""
    least, usual = _WIDTHS[n_columns]
    width = usual if width is None else width
    if not least <= width <= _WIDEST:
        raise ParameterError(
            f"width={width!r} must lie between {least:g} and {_WIDEST:g} inches; a lower dpi"
            " makes a smaller picture"
        )
    height = _HEADING + n_rows * max(_HEIGHT, 0.2 * width / n_columns)
    most = _MOST_PIXELS / max(width, height)
    if not 10 <= dpi <= most:
        raise ParameterError(
            f"dpi={dpi!r} must lie between 10 and {most:.0f}, for a picture of {width:g} by"
            f" {height:.3g} inches"
        )
    return width, height


def _name_of(source: object) -> str:
    if isinstance(source, str | os.PathLike):
        path = os.fspath(source)
        text = path.decode("utf-8", "surrogateescape") if isinstance(path, bytes) else path
        if text.startswith(("http://", "https://")):
            text = text.partition("?")[0]  # what follows may hold a signature
        return text.rstrip("/").rpartition("/")[2]
    return ""


def _add_heading(figure: Figure, title: str, measured: Measured) -> None:
    # Margins of 1 %; letters on whole pixels are a little wider than their outlines.
    points = 72 * 0.94 * float(figure.get_figwidth())
    lines = joined(_facts(measured), points, _TEXT_PT)
    if title:
        lines.insert(0, shown(title, points, _TEXT_PT))
    # Names are untrusted: a $ in them begins no formula.
    plain = {"parse_math": False, "usetex": False, "fontfamily": FONT}
    figure.suptitle("\n".join(lines), fontsize=_TEXT_PT, x=0.01, ha="left", **plain)


def _facts(measured: Measured) -> Iterator[str]:
    """Yield what the heading says about a signal."""
    facts, peaks, duration = measured.facts, measured.peaks, measured.duration
    text = f"{duration:.3g} s"
    if duration > PLAIN_S:
        text = clock(duration, with_hours=duration >= 3600)
    if measured.offset:
        text += f" from {measured.offset:g} s"
    yield text
    yield f"{facts.sample_rate_hz} Hz"
    if facts.sample_rate_hz != measured.sr:
        yield f"drawn at {measured.sr} Hz"
    if facts.channels > 1:
        yield f"mean of {facts.channels} channels"
    if peaks.is_silent:
        yield "silent"
    elif peaks.mix_peak < _CANCELLED * peaks.peak:
        yield "the channels cancel each other"


def _new_figure(width: float, height: float, dpi: float = 100.0) -> Figure:
    with needing("plot"):
        from matplotlib.figure import Figure

    class Page(Figure):
        """Figure that a notebook shows, without `matplotlib.pyplot`."""

        def _repr_png_(self) -> bytes:
            file = io.BytesIO()
            save(self, file, "png")
            return file.getvalue()

    return Page(figsize=(width, height), dpi=dpi, layout="constrained")


def save(figure: Figure, file: BinaryIO, format: str) -> None:  # noqa: A002 - matplotlib's name
    """Write a figure to a binary file. Equal figures give equal bytes.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        What to write.
    file : binary file object
        Where to.
    format : {"png", "svg", "pdf"}
        Format of the picture.

    Raises
    ------
    ParameterError
        If the format is unknown.
    """
    if format not in FORMATS:
        raise ParameterError(f"format={format!r}: there are {', '.join(FORMATS)}")
    with needing("plot"):
        from matplotlib import rc_context
    # Neither dates nor random names.
    date = {"png": {}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}[format]
    with rc_context({"svg.hashsalt": "featurelib"}):
        figure.savefig(file, format=format, metadata=date)

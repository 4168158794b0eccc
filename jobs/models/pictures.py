"""Pictures of a cross-validation: the confusion matrix, and the importance of features."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

import featurelib.extras
from jobs.diagnostics.progress import printable
from jobs.models.cross_validation import CrossValidation
from jobs.models.importance import Importance

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_DPI = 150

_NAME_LENGTH = 28

#: Counts are written into the cells of at most so many classes.
_CLASSES_WITH_COUNTS = 25

#: Larger matrices have no names, which nobody could read.
_CLASSES_WITH_NAMES = 120

_FEATURES_SHOWN = 40


def confusion_picture(result: CrossValidation) -> bytes:
    """Return a picture of the confusion matrix as PNG.

    Colours are shares of the tracks of each class; numbers are tracks.
    """
    n = len(result.classes)
    names = [_short(label) for label in result.classes] if n <= _CLASSES_WITH_NAMES else []
    side = float(np.clip(0.34 * n, 2.4, 24.0))
    margin = 0.08 * max(map(len, names), default=0)  # room for the names, in inches
    figure = _figure(side + 2.0 + margin, side + 1.3 + margin)
    axes = figure.add_subplot()
    totals = result.confusion.sum(axis=1, keepdims=True)
    shares = result.confusion / np.maximum(totals, 1)
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, interpolation="nearest")
    if names:
        size = 9 if n <= 60 else 6
        rotation = 90 if n > 6 or max(map(len, names)) > 8 else 0
        axes.set_xticks(range(n), names, rotation=rotation, fontsize=size, parse_math=False)
        axes.set_yticks(range(n), names, fontsize=size, parse_math=False)
    else:
        axes.set_xticks([])
        axes.set_yticks([])
    if n <= _CLASSES_WITH_COUNTS:
        for i, j in zip(*np.nonzero(result.confusion), strict=True):
            colour = "white" if shares[i, j] > 0.55 else "black"
            axes.text(
                j,
                i,
                str(result.confusion[i, j]),
                ha="center",
                va="center",
                color=colour,
                fontsize=8,
            )
    axes.set_xlabel("predicted label")
    axes.set_ylabel("label")
    mean, deviation = result.mean().accuracy, result.deviation().accuracy
    title = f"{result.estimator}: {int(totals.sum())} held-out tracks"
    axes.set_title(f"{title}\naccuracy {mean:.3f} ± {deviation:.3f}", fontsize=11)
    bar = figure.colorbar(image, ax=axes, fraction=0.045, pad=0.03)
    bar.set_label("share of the label's tracks")
    return _png(figure)


def importance_picture(result: CrossValidation) -> bytes:
    """Return a picture of the permutation importance of the features as PNG."""
    shown: Sequence[Importance] = result.importance[:_FEATURES_SHOWN][::-1]
    figure = _figure(7.0, 1.5 + 0.28 * len(shown))
    axes = figure.add_subplot()
    places = range(len(shown))
    axes.barh(
        places,
        [100 * one.mean for one in shown],
        xerr=[100 * one.deviation for one in shown],
        color="#3b6ea5",
        ecolor="#444444",
        capsize=2,
    )
    axes.set_yticks(places, [_short(one.feature) for one in shown], parse_math=False)
    axes.set_ylim(-0.6, len(shown) - 0.4)
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_xlabel("accuracy lost if the feature is shuffled [percentage points]")
    axes.set_ylabel("feature")
    more = len(result.importance) - len(shown)
    subtitle = f"{more} less important ones are not shown\n" if more else ""
    axes.set_title(
        f"{result.estimator}: permutation importance, by held-out track\n{subtitle}"
        f"mean and standard deviation over folds",
        fontsize=11,
    )
    return _png(figure)


def _figure(width: float, height: float) -> Figure:
    with featurelib.extras.needing("ml"):
        from matplotlib.figure import Figure

    return Figure((width, height), layout="constrained")  # without pyplot: no window, no state


def _png(figure: Figure) -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    sink = io.BytesIO()
    with warnings.catch_warnings():
        # characters that the font lacks are drawn as boxes
        warnings.filterwarnings("ignore", "Glyph .* missing from")
        FigureCanvasAgg(figure).print_figure(
            sink, format="png", dpi=_DPI, bbox_inches="tight", pad_inches=0.15
        )
    return sink.getvalue()


def _short(name: str) -> str:
    name = printable(name)
    return name if len(name) <= _NAME_LENGTH else f"{name[: _NAME_LENGTH - 1]}…"

"""Base class of all feature families."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

from featurelib.errors import SpecError
from featurelib.graph import Node
from featurelib.transforms.frames import FrameGrid, frames_of
from featurelib.transforms.stft import stft_arguments as stft_arguments

if TYPE_CHECKING:
    from featurelib.transforms.cqt import CQT

#: Names of twelve pitch classes, in the order of chroma.
PITCH_CLASSES = ("C", "C♯", "D", "D♯", "E", "F", "F♯", "G", "G♯", "A", "A♯", "B")


class Feature(Node):
    """Feature family: a node whose blocks have shape (n_frames, width).

    A subclass that sets `family` can be used in specs by that name.

    Attributes
    ----------
    family : str
        Name in specs and, by default, in columns. A class variable, like the others.
    unit : str
        Unit of the values.
    is_always_pooled : bool
        Whether all values are one population, without statistics per row.
    population : str
        What pooled statistics are computed over.
    is_single : bool
        Whether there is one value for the whole signal instead of one per frame.
    is_quantized : bool
        Whether the values are made of steps, so that a rounding error can flip a value to
        another step.
    """

    family: ClassVar[str]
    unit: ClassVar[str] = "1"
    is_always_pooled: ClassVar[bool] = False
    population: ClassVar[str] = "all frames and rows"
    is_single: ClassVar[bool] = False
    is_quantized: ClassVar[bool] = False

    @property
    def width(self) -> int:
        """Number of values per frame."""
        return 1

    @property
    def has_rows(self) -> bool:
        """Whether the values of a frame are numbered rows, each with columns of its own."""
        return False

    @cached_property
    def frames(self) -> FrameGrid:
        """Frames from which the values are computed.

        Raises
        ------
        SpecError
            If the feature does not read frames.
        """
        frames = frames_of(self)
        if frames is None:
            raise SpecError(f"{type(self).__name__} reads no frames")
        return frames

    @property
    def hop_length(self) -> int:
        """Distance between the frames of the values [samples]."""
        return self.frames.hop_length

    def unit_of(self, row: int | None) -> str:
        """Return the unit of a row, from 0; None for all rows."""
        return self.unit

    def cells(self) -> Node:
        """Return a node with the same values in any order and shape, for pooled statistics."""
        return self

    def definition(self, row: int | None, sr: int | None) -> str:
        """Return the definition of the values as a phrase, for column descriptions.

        Parameters
        ----------
        row : int or None
            Row, from 0; None for all rows.
        sr : int or None
            Sampling rate of the analysis [Hz]; None if each file is analysed at its own rate.
        """
        raise NotImplementedError

    def librosa(self, sr: int | None) -> str:
        """Return the librosa call that gives the same values of all frames, or ``"none"``.

        Parameters
        ----------
        sr : int or None
            Sampling rate of the analysis [Hz]; None if each file is analysed at its own rate.
        """
        return "none"


def which_class(row: int | None, n_chroma: int) -> str:
    """Return the words for one of `n_chroma` pitch classes, or for all of them."""
    if row is None:
        return f"each of {n_chroma} pitch classes"
    name = f" ({PITCH_CLASSES[row]})" if n_chroma == len(PITCH_CLASSES) else ""
    return f"pitch class {row + 1} of {n_chroma}{name}"


def cqt_chroma(function: str, cqt: CQT, sr: str, more: str = "") -> str:
    """Return the call of a function of `librosa.feature` with a constant-Q transform.

    Parameters
    ----------
    function : str
        ``"chroma_cqt"`` or ``"chroma_cens"``.
    cqt : CQT
        The transform.
    sr : str
        Value of the argument `sr`.
    more : str
        Further arguments of the function.
    """
    bins = f"bins_per_octave={cqt.bins_per_octave}"
    pad = "" if cqt.pad_mode == "constant" else f", pad_mode={cqt.pad_mode!r}"
    tuning = f"librosa.estimate_tuning(y=y, sr={sr}, {bins}{pad})"
    transform = (
        f"np.abs(librosa.cqt(y, sr={sr}, hop_length={cqt.hop_length}, n_bins={cqt.n_bins}, {bins}, "
        f"tuning={tuning}{pad}))"
    )
    octaves = "" if cqt.n_octaves == 7 else f", n_octaves={cqt.n_octaves}"
    return f"librosa.feature.{function}(C={transform}, {bins}{octaves}{more})"


def as_if_at(sr: int | None) -> str:
    """Return a definition's remark about the parameter `sr`; empty without one."""
    return "" if sr is None else f"; bins as of a signal at {sr} Hz"


def rate(sr: int | None) -> str:
    """Return the value of the argument `sr` in a librosa call."""
    return "sr" if sr is None else str(sr)

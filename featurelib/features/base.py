"""What every family of features says about itself."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

from featurelib.errors import SpecError
from featurelib.graph import Node, walk
from featurelib.transforms.frames import Frames

if TYPE_CHECKING:
    from featurelib.transforms.stft import STFT


class Feature(Node):
    """A family of features: a node that gives values of shape (frames, width).

    A subclass with a `family` is found by that name in specs.
    """

    #: Name in specs and, by default, in columns.
    family: ClassVar[str]
    #: Unit of the values.
    unit: ClassVar[str] = "1"
    #: Whether the values of a frame are one population, and never statistics of their own.
    is_always_pooled: ClassVar[bool] = False
    #: Whether there is one value for the whole signal, not one a frame.
    is_single: ClassVar[bool] = False

    @property
    def width(self) -> int:
        """Values a frame."""
        return 1

    @property
    def has_rows(self) -> bool:
        """Whether columns are numbered by row."""
        return False

    @cached_property
    def frames(self) -> Frames:
        """The frames that the values are of."""
        frames = frames_of(self)
        if frames is None:
            raise SpecError(f"{type(self).__name__} reads no frames")
        return frames

    def cells(self) -> Node:
        """A node that gives the same values in any order and shape: for pooled statistics."""
        return self

    def definition(self, row: int | None, sr: int | None) -> str:
        """What the values of a row are, or of all rows, in a clause.

        `sr` is the rate of the analysis [Hz], None if each file has its own.
        """
        raise NotImplementedError

    def librosa(self, sr: int | None) -> str:
        """The call of librosa that gives the same frame series, or "none"."""
        return "none"


def stft_arguments(stft: STFT) -> str:
    """The arguments with which librosa's spectral features read the same spectra."""
    frames = stft.frames
    arguments = f"n_fft={frames.n_fft}, hop_length={frames.hop_length}"
    if stft.window != "hann":
        arguments += f", window={stft.window!r}"
    if not frames.center:
        arguments += ", center=False"
    elif frames.pad_mode != "constant":
        arguments += f", pad_mode={frames.pad_mode!r}"
    return arguments


def rate(sr: int | None) -> str:
    """A sampling rate as the calls of librosa have it: a number, or the file's own."""
    return "sr" if sr is None else str(sr)


def frames_of(node: Node) -> Frames | None:
    """The frames that a node's values are of, if there are any."""
    return next((found for found in walk(node) if isinstance(found, Frames)), None)

"""Base class of all feature families."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

from featurelib.errors import SpecError
from featurelib.graph import Node, walk
from featurelib.transforms.frames import Frames

if TYPE_CHECKING:
    from featurelib.transforms.stft import STFT


class Feature(Node):
    """Feature family: a node whose blocks have shape (n_frames, width).

    A subclass that sets `family` can be used in specs by that name.

    Attributes
    ----------
    family : str
        Name in specs and, by default, in columns. A class variable, like the next three.
    unit : str
        Unit of the values.
    is_always_pooled : bool
        Whether all values are one population, without statistics per row.
    is_single : bool
        Whether there is one value for the whole signal instead of one per frame.
    """

    family: ClassVar[str]
    unit: ClassVar[str] = "1"
    is_always_pooled: ClassVar[bool] = False
    is_single: ClassVar[bool] = False

    @property
    def width(self) -> int:
        """Number of values per frame."""
        return 1

    @property
    def has_rows(self) -> bool:
        """Whether the values of a frame are numbered rows, each with columns of its own."""
        return False

    @cached_property
    def frames(self) -> Frames:
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


def stft_arguments(stft: STFT) -> str:
    """Return the arguments that make librosa's spectral features use the same STFT."""
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
    """Return the value of the argument `sr` in a librosa call."""
    return "sr" if sr is None else str(sr)


def frames_of(node: Node) -> Frames | None:
    """Return the frames from which a node is computed; None if it reads no frames."""
    return next((found for found in walk(node) if isinstance(found, Frames)), None)

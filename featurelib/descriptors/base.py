"""What every family of descriptors says about itself and does."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import ClassVar

import numpy as np

from featurelib.spec import FeatureSpec
from featurelib.spectrum import SpectrumBlock


class Descriptor(ABC):
    """One family of descriptors of one signal.

    A family turns each block into values of shape (frames, rows). One that must see the
    whole signal first keeps what it needs, gives nothing from `update`, and all at the
    `finish`.
    """

    #: Its name in specs and columns.
    family: ClassVar[str]
    #: Unit of its values.
    unit: ClassVar[str]

    @classmethod
    def n_rows(cls, spec: FeatureSpec) -> int:
        """Values a frame."""
        return 1

    @classmethod
    @abstractmethod
    def definition(cls, spec: FeatureSpec, row: int | None) -> str:
        """What the values of a row are, or of all rows, in a clause."""

    @classmethod
    @abstractmethod
    def librosa(cls, spec: FeatureSpec) -> str:
        """The call of librosa that gives the same frame series, or "none"."""

    @abstractmethod
    def __init__(self, spec: FeatureSpec) -> None:
        """Prepare for one signal."""

    @abstractmethod
    def update(self, block: SpectrumBlock) -> np.ndarray:
        """Values of the block's frames that are known by now, shape (frames, rows).

        Of a family whose cells all count alike, any shape.
        """

    def finish(self) -> Iterator[np.ndarray]:
        """Values that had to wait for the signal's end, in arrays of (frames, rows)."""
        yield from ()


def stft_arguments(spec: FeatureSpec) -> str:
    """The arguments that librosa's spectral features are called with for a spec."""
    arguments = f"n_fft={spec.n_fft}, hop_length={spec.hop_length}"
    if spec.window != "hann":
        arguments += f", window={spec.window!r}"
    if not spec.center:
        arguments += ", center=False"
    elif spec.pad_mode != "constant":
        arguments += f", pad_mode={spec.pad_mode!r}"
    return arguments

"""A file with features of a user's own, as a user writes one."""

from __future__ import annotations

from pathlib import Path

SOURCE = '''\
"""Features of my own."""

from dataclasses import dataclass
from typing import ClassVar

from featurelib import Feature
from featurelib.graph import Block, Blockwise
from featurelib.parameters import parameter
from featurelib.transforms.stft import STFT, rows


@dataclass(frozen=True, kw_only=True)
class SpectralMax(Feature):
    """Largest magnitude of a frame, times a gain."""

    family: ClassVar[str] = "spectral_max"

    stft: STFT = STFT()
    gain: float = parameter(1.0, "factor", gt=0)

    def definition(self, row, sr):
        return "largest magnitude of a frame"

    def operator(self, sr):
        return Blockwise(
            lambda block: Block(self.gain * rows(*block).max(axis=1)[:, None], block.n_frames)
        )
'''

CONFIG = """\
[spec]
name = "own"
import = ["own.py"]

[[spec.features]]
family = "spectral_max"
gain = 2.0
statistics = ["max"]
"""


def write(folder: Path, source: str = SOURCE) -> Path:
    """Write the file, and beside it settings that name it; return the settings' path."""
    (folder / "own.py").write_text(source)
    config = folder / "own.toml"
    config.write_text(CONFIG)
    return config
